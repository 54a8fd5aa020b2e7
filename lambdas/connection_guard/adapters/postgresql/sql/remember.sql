-- Keeps what the guard remembers between its runs as a setting of its own role. There it needs no
-- table and no privilege, survives the session, a restart and a failover, and is read by
-- measure.sql without another round trip. The server waits neither for a standby nor for its disk.
-- An ERROR undoes all of it: several statements in one string are one transaction (PostgreSQL
-- manual, "Multiple Statements in a Simple Query"), which must first declare that it writes.
--   \set memory 'connection-guard {}'

SET LOCAL transaction_read_only = off;
SET LOCAL synchronous_commit = off;
-- Another session that alters roles at this moment must not hold up a remediation.
SET LOCAL lock_timeout = '500ms';
ALTER ROLE CURRENT_USER SET application_name = :'memory';
