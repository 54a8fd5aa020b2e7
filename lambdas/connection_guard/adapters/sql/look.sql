-- Which of these sessions are still there, and how many client backends there are now.
--   \set pids '{4711}'
--   \set backend_starts '{2026-11-20 03:00:00.123456+00}'

WITH activity AS MATERIALIZED (
    SELECT pid, backend_start FROM pg_stat_activity WHERE backend_type = 'client backend'
)
SELECT (SELECT count(*) FROM activity) AS used,
       array(SELECT pid
             FROM unnest(:'pids'::int[], :'backend_starts'::timestamptz[]) AS sought (pid, backend_start)
             JOIN activity USING (pid, backend_start)) AS still_there;
