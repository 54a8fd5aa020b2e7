-- Takes the turn if it is free: runs of the guard in several execution environments take turns. The
-- lock lasts until the turn or the session ends (PostgreSQL manual, "Advisory Locks"). RDS Proxy
-- pins the session for it. Any client that may connect may take any advisory lock: where another
-- session has this one, `holder` is its pid, and `is_guard` says whether it is the guard's.
--   \set turn 7165066952630952306
--   \set guard_roles '{connection_guard}'

WITH attempt AS MATERIALIZED (
    SELECT pg_try_advisory_lock(:'turn'::bigint) AS is_taken
)
SELECT attempt.is_taken, holder.pid AS holder, coalesce(holder.usename, '') AS role,
       coalesce(holder.usename = ANY (:'guard_roles'::text[]), true) AS is_guard
FROM attempt
LEFT JOIN LATERAL (
    SELECT activity.pid, activity.usename
    FROM pg_locks AS locks
    JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
    -- A lock of one bigint is shown as its two halves (PostgreSQL manual, "pg_locks").
    WHERE NOT attempt.is_taken
      AND locks.granted AND locks.locktype = 'advisory' AND locks.objsubid = 1
      AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (locks.classid::bigint << 32 | locks.objid::bigint) = :'turn'::bigint
    LIMIT 1
) AS holder ON true;
