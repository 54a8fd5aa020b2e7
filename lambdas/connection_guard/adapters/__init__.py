"""The only place that touches PostgreSQL and AWS."""
