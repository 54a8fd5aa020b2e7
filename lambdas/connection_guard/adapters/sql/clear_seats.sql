-- Ends the seats that earlier execution environments left behind: sessions of this role, named as the guard's own, that
-- have been idle for longer than any run and any pause between two runs lasts. An environment that is alive uses its
-- seat every minute.
--   \set seat_is_stale_after '3 min'

SELECT count(pg_terminate_backend(pid)) AS cleared
FROM pg_stat_activity
WHERE usename = current_user
  AND application_name LIKE 'connection-guard %'
  AND backend_type = 'client backend'
  AND state = 'idle'
  AND state_change < clock_timestamp() - :'seat_is_stale_after'::interval
  AND pid <> pg_backend_pid();
