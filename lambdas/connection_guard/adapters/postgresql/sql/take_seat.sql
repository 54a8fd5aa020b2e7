-- Makes a fresh login the guard's session. SET pins the session in RDS Proxy, which is intended: a
-- pinned session keeps its server connection (Amazon RDS User Guide, "Avoiding pinning an RDS
-- Proxy"). RDS Proxy would refuse these settings as startup options.
--   \set application_name 'connection-guard direct'

-- Roles, databases and parameter groups can have settings of their own (ALTER ROLE ... SET), so
-- every setting that the guard relies on is set here, first those that this transaction began with.
-- ROLE NONE is the role that logged in.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE;
SET statement_timeout = '5s';
SET ROLE NONE;
SET application_name = :'application_name';
SET search_path = pg_catalog, pg_temp;
SET default_transaction_isolation = 'read committed';
SET default_transaction_deferrable = off;
SET default_transaction_read_only = on;
SET lock_timeout = 0;
SET idle_session_timeout = 0;
SET exit_on_error = off;
-- Names and texts are in each database's own encoding. None is converted, so that no conversion can
-- fail.
SET client_encoding = 'SQL_ASCII';
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET extra_float_digits = 1;
-- The statements are short, and PostgreSQL's default settings give them good plans.
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SELECT set_config(name, boot_val, false) FROM pg_settings
WHERE name LIKE 'enable\_%' AND context = 'user' AND setting <> boot_val;
-- From PostgreSQL 17 on.
SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout';
