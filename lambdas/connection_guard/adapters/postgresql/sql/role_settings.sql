-- The settings that somebody has given to the guard's roles, or to the database that they log in to
-- (ALTER ROLE ... SET, ALTER DATABASE ... SET). `is_overridden`: take_seat.sql has set the
-- session's own value. What the guard itself remembers in its role is left out.
--   \set guard_roles '{connection_guard}'

SELECT coalesce(roles.rolname, '') AS role,
       coalesce(databases.datname, '') AS database,
       split_part(assignment, '=', 1) AS name,
       -- Custom settings are in no catalog, and some applications keep secrets in them.
       CASE WHEN current.name IS NOT NULL THEN substr(assignment, strpos(assignment, '=') + 1) END
           AS value,
       -- The server shows no source of "role", which take_seat.sql sets as well.
       coalesce(current.source = 'session', split_part(assignment, '=', 1) = 'role') AS is_overridden
FROM pg_db_role_setting AS kept
CROSS JOIN LATERAL unnest(kept.setconfig) AS assignment
LEFT JOIN pg_roles AS roles ON roles.oid = kept.setrole
LEFT JOIN pg_database AS databases ON databases.oid = kept.setdatabase
LEFT JOIN pg_settings AS current
    ON lower(current.name) = lower(split_part(assignment, '=', 1))
WHERE (kept.setrole = 0 OR roles.rolname = ANY (:'guard_roles'::text[]))
  AND (kept.setdatabase = 0 OR databases.datname = current_database())
  AND assignment NOT LIKE 'application\_name=connection-guard {%'
ORDER BY 1, 2, 3;
