-- Lets another run have the turn.
--   \set turn 4848574843

SELECT pg_advisory_unlock(:'turn'::bigint) AS was_taken;
