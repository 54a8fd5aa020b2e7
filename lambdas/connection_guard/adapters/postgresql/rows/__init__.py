"""What the rows that PostgreSQL returns mean, without a connection to it."""
