-- Signals each requested session that still is what the snapshot showed, on the server that the snapshot came from.
-- `is_same` is false where it changed or ended: it is left alone. `was_signalled` is NULL where nobody may be asked to
-- signal it, and true only means that the signal was sent.
--   \set pids '{4711}'
--   \set backend_starts '{2026-11-20 03:00:00.123456+00}'
--   \set roles '{app}'
--   \set states '{idle}'
--   \set state_changes '{2026-11-20 03:00:00.123456+00}'
--   \set guard_roles '{connection_guard}'
--   \set server_started_at '2026-11-19 03:00:00.123456+00'

SELECT requested.pid,
       activity.pid IS NOT NULL AS is_same,
       CASE WHEN activity.may_be_signalled THEN pg_terminate_backend(activity.pid) END AS was_signalled
FROM unnest(:'pids'::int[], :'backend_starts'::timestamptz[], :'roles'::text[], :'states'::text[],
            :'state_changes'::timestamptz[]) AS requested (pid, backend_start, role, state, state_change)
LEFT JOIN (
    SELECT sessions.*,
           sessions.pid <> pg_backend_pid()
               AND sessions.state NOT IN ('starting', 'disabled')
               AND NOT roles.rolsuper
               AND roles.rolname <> ALL (:'guard_roles'::text[])
               AND roles.rolname NOT IN ('rdsadmin', 'rdsproxyadmin', 'rdsrepladmin') AS may_be_signalled
    FROM pg_stat_activity AS sessions
    JOIN pg_roles AS roles ON roles.oid = sessions.usesysid
    WHERE sessions.backend_type = 'client backend'
      AND NOT pg_is_in_recovery()
      AND pg_postmaster_start_time() = :'server_started_at'::timestamptz
) AS activity
    ON activity.pid = requested.pid
   AND activity.backend_start = requested.backend_start
   AND activity.usename = requested.role
   AND activity.state = requested.state
   AND activity.state_change = requested.state_change;
