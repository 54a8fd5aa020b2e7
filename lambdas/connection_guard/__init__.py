"""Connection Guard: keeps Amazon RDS and Aurora PostgreSQL reachable when connections run out."""

__version__ = "0.1.0"
