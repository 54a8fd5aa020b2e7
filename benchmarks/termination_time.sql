-- What one types into psql to terminate an application's idle sessions.
SELECT pid, pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE usename = 'app'
  AND state = 'idle'
  AND state_change < now() - interval '3 s';
