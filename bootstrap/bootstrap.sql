-- The database roles of Connection Guard, on PostgreSQL 14 to 18, Amazon RDS and Aurora.
--
-- Run it once per server, in the database that the guard logs in to, with psql, as the master user
-- (a member of rds_superuser) or a superuser. It may be run again at any time.
--
--   psql "host=<writer> dbname=postgres user=<master>" -f bootstrap.sql
--   psql ... -v guard_role=my_guard -v proxy_role=my_guard_proxy -f bootstrap.sql
--
-- guard_role   logs in with an IAM authentication token, which rds_iam grants and which rules out a
--              password.
-- proxy_role   is needed only where RDS Proxy itself logs in with a secret: a second role, with a
--              password. Set it afterwards with \password, and put it into the secret.

\set ON_ERROR_STOP on
\if :{?guard_role}
\else
    \set guard_role connection_guard
\endif
\if :{?proxy_role}
\else
    \set proxy_role ''
\endif

BEGIN;
-- Before PostgreSQL 16 a grant that is there already causes a notice.
SET LOCAL client_min_messages = warning;

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY[:'guard_role', :'proxy_role']) AS role
WHERE role <> ''
  AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

-- While this role is granted to either of them, every run only observes. `connection-guard pause`
-- grants it, with an end (VALID UNTIL) and a note (its comment). By hand and without an end:
--   ALTER ROLE connection_guard_paused VALID UNTIL 'infinity';
--   GRANT connection_guard_paused TO connection_guard;
SELECT 'CREATE ROLE connection_guard_paused NOLOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'connection_guard_paused')
\gexec

-- These let it see the sessions, end them, and log in when they have filled the server (PostgreSQL
-- 16 and later).
SELECT format('GRANT %I TO %I', rolname, role)
FROM unnest(ARRAY[:'guard_role', :'proxy_role']) AS role
CROSS JOIN pg_roles
WHERE role <> ''
  AND rolname IN ('pg_monitor', 'pg_signal_backend', 'pg_use_reserved_connections')
\gexec

-- This lets it log in to this database, where not everybody may.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), rolname)
FROM pg_roles
WHERE rolname IN (:'guard_role', :'proxy_role')
  AND NOT has_database_privilege(oid, current_database(), 'CONNECT')
\gexec

SELECT format('GRANT rds_iam TO %I', :'guard_role')
WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam')
\gexec

COMMIT;
