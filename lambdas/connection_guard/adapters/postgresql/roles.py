"""The roles that are never touched, and the names that the guard cannot have for its own."""

PROXY_MONITOR = "rdsproxyadmin"
"""RDS Proxy checks the database as this role, from the addresses that it pools from."""

AMAZON_ROLES = frozenset({"rdsadmin", PROXY_MONITOR, "rdsrepladmin"})
"""The roles of RDS's agent, RDS Proxy's monitor and replication."""

PAUSING_ROLE = "connection_guard_paused"
"""While it is granted to the guard's role, every run only observes."""

TAKEN_ROLES = {
    "pg_.*|public|none": "belongs to PostgreSQL",
    f"rds_.*|rdstopmgr|{'|'.join(AMAZON_ROLES)}": "belongs to Amazon",
    "postgres": "is the master user, which has more privileges than the guard should have",
    PAUSING_ROLE: "is the role that pauses the guard",
}
"""Patterns of the roles that the guard cannot log in as, and why."""

UNFIT_DATABASES = {
    "template0": "takes no connections",
    "template1": "cannot be copied by CREATE DATABASE while the guard keeps a session in it",
    "rdsadmin": "belongs to Amazon",
}
"""The databases that the guard cannot log in to, and why."""
