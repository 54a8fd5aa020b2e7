-- Lets another run have the turn, however often this session has taken it: the guard holds no other
-- advisory lock.

SELECT pg_advisory_unlock_all();
