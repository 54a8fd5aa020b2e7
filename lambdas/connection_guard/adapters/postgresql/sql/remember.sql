-- Keeps what the guard remembers between its runs as a setting of its own role: there it needs no table and no privilege,
-- survives the session, a restart and a failover, and measure.sql reads it in passing. The server does not wait for
-- a standby, or for its disk. An ERROR undoes all of it: several statements in one string are one transaction
-- (PostgreSQL manual, "Multiple Statements in a Simple Query"), which must say first that it writes.
--   \set memory 'connection-guard {}'

SET LOCAL transaction_read_only = off;
SET LOCAL synchronous_commit = off;
SET LOCAL lock_timeout = '500ms'; -- whoever alters roles at this moment must not hold up a remediation
ALTER ROLE CURRENT_USER SET application_name = :'memory';
