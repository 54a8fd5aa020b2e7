"""The roles that belong to Amazon RDS and are never touched."""

PROXY_MONITOR = "rdsproxyadmin"
"""RDS Proxy checks the database as this role, from the addresses that it pools from."""

AMAZON_ROLES = frozenset({"rdsadmin", PROXY_MONITOR, "rdsrepladmin"})
"""The roles of RDS's agent, RDS Proxy's monitor and replication."""
