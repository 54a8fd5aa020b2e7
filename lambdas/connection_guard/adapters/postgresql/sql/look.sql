-- Shows which of these sessions are still there, and how many client backends there are.
-- pg_stat_activity is made of these functions (PostgreSQL manual, "Statistics Functions"). For one
-- pid, or one column, at a time they take a fraction of the time of the whole view, and this runs
-- again and again until a batch is gone. Of the backends that have a client, all but the walsenders
-- are client backends.
--   \set pids '{4711}'
--   \set backend_starts '{2026-11-20 03:00:00.123456+00}'

SELECT array(SELECT sought.pid
             FROM unnest(:'pids'::int[], :'backend_starts'::timestamptz[])
                 AS sought (pid, backend_start)
             CROSS JOIN LATERAL pg_stat_get_activity(sought.pid) AS activity
             WHERE activity.backend_start = sought.backend_start) AS still_there,
       (SELECT count(*)
        FROM pg_stat_get_backend_idset() AS id
        WHERE pg_stat_get_backend_client_port(id) IS NOT NULL)
           - (SELECT count(*) FROM pg_stat_get_wal_senders()) AS used;
