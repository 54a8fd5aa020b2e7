-- Every client backend, with what it waits for and what it holds that others wait for, from one
-- read of pg_locks: pg_blocking_pids() over 1,000 waiters would return half a million pids.
-- `waits_for` and `holds` name a lock by its target; only targets that a session waits for are
-- listed. Other holders of such a lock are listed, too, with their own backend_type: an autovacuum
-- worker, say, or (pid 0, NULL) a prepared transaction.

WITH clock AS MATERIALIZED (
    SELECT clock_timestamp() AS taken_at
),
locks AS MATERIALIZED (
    SELECT * FROM pg_locks WHERE mode <> 'SIReadLock' -- blocks nobody (PostgreSQL manual, pg_locks)
),
waiting AS MATERIALIZED (
    SELECT pid, mode, waitstart,
           concat_ws(' ', locktype, database, relation, page, tuple, virtualxid, transactionid,
                     classid, objid, objsubid) AS target
    FROM locks
    WHERE NOT granted
),
granted AS (
    SELECT coalesce(pid, 0) AS pid, mode,
           concat_ws(' ', locktype, database, relation, page, tuple, virtualxid, transactionid,
                     classid, objid, objsubid) AS target
    FROM locks
    -- Most of the time here goes into naming targets: leave out the kinds of lock without waiters.
    WHERE granted AND locktype IN (SELECT locktype FROM locks WHERE NOT granted)
),
holding AS MATERIALIZED (
    SELECT pid, array_agg(target) AS targets, array_agg(mode) AS modes
    FROM granted
    WHERE target IN (SELECT target FROM waiting)
    GROUP BY pid
),
advisory AS MATERIALIZED (
    SELECT DISTINCT pid FROM locks WHERE granted AND locktype = 'advisory'
)
SELECT clock.taken_at,
       coalesce(activity.pid, holding.pid) AS pid,
       activity.backend_type,
       activity.backend_start,
       coalesce(activity.usename, '') AS role,
       coalesce(activity.usesysid, 0) AS role_id,
       coalesce(activity.datname, '') AS database,
       coalesce(activity.application_name, '') AS application_name,
       coalesce(host(activity.client_addr), '') AS client_address,
       activity.state,
       activity.state_change,
       activity.xact_start,
       activity.query_start,
       activity.wait_event_type,
       activity.wait_event,
       -- As bytes: a text in another database's encoding would be refused as invalid.
       substr(textsend(coalesce(activity.query, '')), 1, 4096) AS query,
       coalesce(roles.rolsuper, false) AS is_superuser,
       advisory.pid IS NOT NULL AS holds_advisory_lock,
       waiting.target AS waits_for,
       waiting.mode AS waits_for_mode,
       waiting.waitstart AS waits_since,
       holding.targets AS holds,
       holding.modes AS holds_modes
FROM pg_stat_activity AS activity
FULL JOIN holding ON holding.pid = activity.pid
CROSS JOIN clock
LEFT JOIN pg_roles AS roles ON roles.oid = activity.usesysid
LEFT JOIN waiting ON waiting.pid = activity.pid
LEFT JOIN advisory ON advisory.pid = activity.pid
WHERE activity.backend_type = 'client backend' OR holding.pid IS NOT NULL;
