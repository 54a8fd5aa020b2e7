-- Everything a heartbeat needs, in one row: which server this is, what this role may do, the
-- limits, and how many sessions are in which state.
--   \set guard_roles '{connection_guard}'
--   \set seat_is_stale_after '3 min'

WITH activity AS MATERIALIZED (
    -- Without pg_read_all_stats the type of another role's backend is hidden; one that is in a
    -- database counts as a client.
    SELECT coalesce(backend_type, CASE WHEN datid IS NOT NULL THEN 'client backend' END)
               AS backend_type,
           pid, usesysid, datid, usename, application_name, coalesce(state, 'hidden') AS state,
           state_change
    FROM pg_stat_activity
),
clients AS (
    SELECT * FROM activity WHERE backend_type = 'client backend'
),
limits AS MATERIALIZED (
    -- Only of roles and databases that have sessions: thousands of tenants' roles may have a limit.
    SELECT 'role' AS owner, rolname::text AS name, rolconnlimit AS connection_limit, sessions
    FROM (SELECT usesysid, count(*)::int AS sessions FROM clients GROUP BY usesysid) AS used
    JOIN pg_roles ON pg_roles.oid = usesysid
    WHERE rolconnlimit >= 0 AND rolcanlogin AND NOT rolsuper
    UNION ALL
    SELECT 'database', datname::text, datconnlimit, sessions
    FROM (SELECT datid, count(*)::int AS sessions FROM clients GROUP BY datid) AS used
    JOIN pg_database ON pg_database.oid = datid
    WHERE datconnlimit >= 0 AND datallowconn
),
logins AS MATERIALIZED (
    -- Before PostgreSQL 15 this would wait for the statistics collector, for seconds where the
    -- server is overloaded.
    SELECT datname::text AS name, sessions AS logins, sessions_abandoned AS abandoned,
           sessions_fatal AS fatal
    FROM pg_stat_database
    WHERE current_setting('server_version_num')::int >= 150000 AND datname IS NOT NULL
),
busiest AS MATERIALIZED (
    SELECT name, logins FROM logins ORDER BY logins DESC LIMIT 10
),
pause AS MATERIALIZED (
    -- Any time after the year 9998 counts as never: a client's own dates end there.
    SELECT CASE WHEN rolvaliduntil < '9999-01-01' THEN rolvaliduntil END AS ends_at,
           -- As bytes: it is in the encoding of the database that it was written in.
           substr(textsend(shobj_description(oid, 'pg_authid')), 1, 1000) AS note
    FROM pg_roles
    WHERE rolname = 'connection_guard_paused'
      AND coalesce(rolvaliduntil > clock_timestamp(), true)
      AND EXISTS (SELECT FROM pg_roles AS guard
                  WHERE guard.rolname = ANY (:'guard_roles'::text[])
                    AND pg_has_role(guard.oid, pg_roles.oid, 'MEMBER'))
)
SELECT clock_timestamp() AS taken_at,
       coalesce(host(inet_server_addr()), '') AS server_address,
       coalesce(inet_server_port(), 0) AS server_port,
       pg_postmaster_start_time() AS server_started_at,
       current_setting('server_version_num')::int AS server_version,
       current_database() AS database,
       pg_is_in_recovery() AS is_in_recovery,
       current_user AS role,
       pg_has_role('pg_read_all_stats', 'USAGE') AS reads_all_stats,
       pg_has_role('pg_signal_backend', 'USAGE') AS signals_sessions,
       (SELECT pg_has_role(oid, 'USAGE')
        FROM pg_roles
        WHERE rolname = 'pg_use_reserved_connections') AS uses_reserved_connections,
       EXISTS (SELECT FROM pause) AS is_paused,
       (SELECT ends_at FROM pause) AS paused_until,
       (SELECT note FROM pause) AS pause_note,
       (SELECT coalesce(array_agg(setting), '{}')
        FROM pg_roles CROSS JOIN unnest(rolconfig) AS setting
        WHERE rolname = ANY (:'guard_roles'::text[])
          AND setting LIKE 'application\_name=connection-guard {%') AS memories,
       EXISTS (SELECT FROM clients
               WHERE usename = ANY (:'guard_roles'::text[])
                 AND application_name LIKE 'connection-guard %'
                 AND application_name NOT LIKE 'connection-guard {%' AND pid <> pg_backend_pid()
                 AND state_change < clock_timestamp() - :'seat_is_stale_after'::interval)
           AS has_stale_seats,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int AS superuser_reserved_connections,
       coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved_connections,
       -- Outside Amazon RDS these names may have been given any value.
       coalesce(
           substring(
               current_setting('rds.rds_superuser_reserved_connections', true) FROM '^[0-9]{1,6}$'
           )::int,
           0
       ) AS rds_superuser_reserved_connections,
       coalesce(
           substring(
               current_setting('rds.rds_reserved_connections', true) FROM '^[0-9]{1,6}$'
           )::int,
           0
       ) AS rds_reserved_connections,
       (SELECT count(*) FROM clients) AS sessions,
       -- Before PostgreSQL 18 a client that has not finished its login holds a slot that
       -- pg_stat_activity does not show. Its login is a transaction that has begun, and each
       -- transaction holds a lock on its virtual id. Where sessions fill the server, pg_locks is
       -- not read: thousands of sessions that wait can keep it from answering.
       CASE WHEN current_setting('server_version_num')::int < 180000
             AND (SELECT count(*) FROM clients) < 0.8 * current_setting('max_connections')::int
            THEN (SELECT count(DISTINCT pid) FROM pg_locks
                  WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND granted
                    AND pid NOT IN (SELECT pid FROM activity))
            ELSE 0 END AS logins_in_progress,
       (SELECT coalesce(json_object_agg(state, sessions), '{}')
        FROM (SELECT state, count(*) AS sessions FROM clients GROUP BY state) AS states)::text
           AS sessions_by_state,
       (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - state_change)), 0)::float
        FROM clients WHERE state LIKE 'idle in transaction%') AS oldest_idle_in_transaction_seconds,
       -- Not as JSON: each name is in an encoding of its own.
       array(SELECT owner FROM limits) AS limit_owners,
       array(SELECT name FROM limits) AS limit_names,
       array(SELECT connection_limit FROM limits) AS limits,
       array(SELECT sessions FROM limits) AS limit_sessions,
       (SELECT sum(logins)::bigint FROM logins) AS logins,
       (SELECT sum(abandoned)::bigint FROM logins) AS abandoned_sessions,
       (SELECT sum(fatal)::bigint FROM logins) AS fatal_sessions,
       array(SELECT name FROM busiest) AS login_databases,
       array(SELECT logins FROM busiest) AS logins_by_database,
       (SELECT coalesce(json_object_agg(backend_type, backends), '{}')
        FROM (SELECT backend_type, count(*) AS backends FROM activity
              WHERE backend_type <> 'client backend' GROUP BY backend_type) AS others)::text
           AS other_backends;
