-- Ends the seats that earlier execution environments left behind: sessions of the guard's roles,
-- with the guard's application_name, that have been in one state for longer than any run and any
-- pause between two runs. An environment that is alive uses its seat every minute, and none of its
-- statements takes more than seconds.
--   \set guard_roles '{connection_guard}'
--   \set seat_is_stale_after '3 min'

SELECT count(pg_terminate_backend(pid)) AS cleared
FROM pg_stat_activity
WHERE usename = ANY (:'guard_roles'::text[])
  AND application_name LIKE 'connection-guard %'
  -- A person who logs in as the guard's role has the application_name that remember.sql sets.
  AND application_name NOT LIKE 'connection-guard {%'
  AND backend_type = 'client backend'
  AND state_change < clock_timestamp() - :'seat_is_stale_after'::interval
  AND pid <> pg_backend_pid();
