-- What each of the guard's roles may do on this server, the same for every role that asks: a row for
-- each, also for one that does not exist. `uses_reserved_connections` is NULL where the server has no such privilege,
-- `has_rds_iam` where it is not Amazon RDS. A member of rds_iam logs in with a token, and no longer
-- with a password (Amazon RDS User Guide, "Creating a database account using IAM authentication").
--   \set guard_roles '{connection_guard}'

SELECT guard.name,
       roles.oid IS NOT NULL AS is_there,
       coalesce(roles.rolcanlogin, false) AS can_log_in,
       coalesce(roles.rolconnlimit, -1) AS connection_limit,
       coalesce(pg_has_role(roles.oid, 'pg_read_all_stats', 'USAGE'), false) AS reads_all_stats,
       coalesce(pg_has_role(roles.oid, 'pg_signal_backend', 'USAGE'), false) AS signals_sessions,
       (SELECT pg_has_role(roles.oid, reserve.oid, 'USAGE')
        FROM pg_roles AS reserve
        WHERE reserve.rolname = 'pg_use_reserved_connections') AS uses_reserved_connections,
       (SELECT pg_has_role(roles.oid, iam.oid, 'MEMBER')
        FROM pg_roles AS iam
        WHERE iam.rolname = 'rds_iam') AS has_rds_iam,
       coalesce((SELECT pg_has_role(roles.oid, paused.oid, 'MEMBER')
                 FROM pg_roles AS paused
                 WHERE paused.rolname = 'connection_guard_paused'), false) AS was_paused
FROM unnest(:'guard_roles'::text[]) WITH ORDINALITY AS guard (name, position)
LEFT JOIN pg_roles AS roles ON roles.rolname = guard.name
ORDER BY guard.position;
