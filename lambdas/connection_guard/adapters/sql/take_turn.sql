-- Whether this session has the turn now: runs of the guard in several execution environments take turns. The lock lasts
-- until the turn ends or the session does (PostgreSQL manual, "Advisory Locks"). RDS Proxy pins the session for it.
--   \set turn 4848574843

SELECT pg_try_advisory_lock(:'turn'::bigint) AS is_taken;
