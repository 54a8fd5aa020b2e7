-- Which of these sessions are still there, and how many client backends there are.
-- pg_stat_activity is made of these functions (PostgreSQL manual, "Statistics Functions"): asked for one pid, or for one
-- column, at a time they take a fraction of the whole view, and while a batch goes this is asked again and again. Of the
-- backends that have a client, all but the walsenders are client backends.
--   \set pids '{4711}'
--   \set backend_starts '{2026-11-20 03:00:00.123456+00}'

SELECT array(SELECT sought.pid
             FROM unnest(:'pids'::int[], :'backend_starts'::timestamptz[]) AS sought (pid, backend_start)
             CROSS JOIN LATERAL pg_stat_get_activity(sought.pid) AS activity
             WHERE activity.backend_start = sought.backend_start) AS still_there,
       (SELECT count(*) FROM pg_stat_get_backend_idset() AS id WHERE pg_stat_get_backend_client_port(id) IS NOT NULL)
           - (SELECT count(*) FROM pg_stat_get_wal_senders()) AS used;
