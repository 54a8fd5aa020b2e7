-- What the whole server has set. reset_val is what a session begins with. Where this session's own
-- role or database, or all of them, have a value of their own, the server's is not known.
--   \set names '{idle_session_timeout}'

WITH timeouts AS MATERIALIZED (
    SELECT name,
           CASE WHEN EXISTS (
                    SELECT FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
                    WHERE split_part(setting, '=', 1) = name
                      AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
                      AND setdatabase IN (0, (SELECT oid FROM pg_database
                                              WHERE datname = current_database())))
                THEN NULL
                ELSE reset_val <> '0' END AS is_on
    FROM pg_settings
    WHERE name = ANY (:'names'::text[])
),
pending AS MATERIALIZED (
    SELECT name, setting FROM pg_settings WHERE pending_restart ORDER BY name
),
limited AS MATERIALIZED (
    SELECT datname::text AS name, datconnlimit FROM pg_database
    WHERE datconnlimit >= 0 AND datallowconn
    ORDER BY datname
)
SELECT array(SELECT name FROM timeouts) AS timeouts,
       array(SELECT is_on FROM timeouts) AS are_on,
       array(SELECT name FROM pending) AS pending,
       array(SELECT setting FROM pending) AS pending_values,
       array(SELECT name FROM limited) AS limited_databases,
       array(SELECT datconnlimit FROM limited) AS database_limits,
       array(SELECT member.rolname::text
             FROM pg_roles AS member
             JOIN pg_roles AS reserve ON reserve.rolname = 'pg_use_reserved_connections'
             WHERE member.rolcanlogin AND NOT member.rolsuper
               AND pg_has_role(member.oid, reserve.oid, 'USAGE')) AS reserve_roles;
