"""What max_connections may be set to."""

# Amazon RDS User Guide, "Quotas and constraints", maximum connections.
FEWEST_CONNECTIONS = 6
# The highest that PostgreSQL takes: pg_settings.max_val.
MOST_CONNECTIONS = 262_143
