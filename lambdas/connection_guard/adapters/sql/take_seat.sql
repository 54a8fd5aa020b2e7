-- Makes a fresh login the guard's session.
-- SET pins the session in RDS Proxy: wanted, a pinned session keeps its server connection
-- (Amazon RDS User Guide, "Avoiding pinning an RDS Proxy"). RDS Proxy refuses the same as startup options.
--   \set application_name 'connection-guard direct'

SET application_name = :'application_name';
SET search_path = pg_catalog, pg_temp;
SET default_transaction_read_only = on;
SET statement_timeout = '5s';
SET idle_session_timeout = 0;
SET timezone = 'UTC';
