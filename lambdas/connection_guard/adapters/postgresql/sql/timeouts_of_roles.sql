-- What ALTER ROLE ... SET and ALTER DATABASE ... SET say about timeouts; an empty name is any role,
-- or any database. A value of 0, in whichever unit, is off.
--   \set names '{idle_session_timeout}'

SELECT coalesce(rolname, '')::text AS role, coalesce(datname, '')::text AS database, name,
       value !~ '^\s*[+-]?0*\.?0*\s*[a-z]*\s*$' AS is_on
FROM pg_db_role_setting
LEFT JOIN pg_roles ON pg_roles.oid = setrole
LEFT JOIN pg_database ON pg_database.oid = setdatabase
CROSS JOIN unnest(setconfig) AS setting
CROSS JOIN LATERAL (SELECT split_part(setting, '=', 1) AS name,
                           substr(setting, strpos(setting, '=') + 1) AS value) AS parts
WHERE name = ANY (:'names'::text[])
  AND (setrole = 0 OR rolname IS NOT NULL) AND (setdatabase = 0 OR datname IS NOT NULL);
