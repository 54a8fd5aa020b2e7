-- The roles that applications log in as, with their limits and sessions. Superusers, roles that may
-- create others, the guard's own roles and those of Amazon are none.
--   \set guard_roles '{connection_guard}'
--   \set amazon_roles '{rdsadmin}'

SELECT rolname::text AS role, nullif(rolconnlimit, -1) AS connection_limit,
       coalesce(sessions, 0) AS sessions
FROM pg_roles
LEFT JOIN (SELECT usesysid, count(*)::int AS sessions
           FROM pg_stat_activity
           WHERE backend_type = 'client backend'
           GROUP BY usesysid) AS used ON used.usesysid = pg_roles.oid
WHERE rolcanlogin AND NOT rolsuper AND NOT rolcreaterole
  AND rolname <> ALL (:'guard_roles'::text[])
  AND rolname <> ALL (:'amazon_roles'::text[])
ORDER BY sessions DESC NULLS LAST, rolname;
