-- The timeouts that a session of this role begins with, in milliseconds; 0 is none. take_seat.sql
-- has changed some of them in this session, which does not change what it began with.

SELECT name, reset_val::bigint * CASE unit WHEN 's' THEN 1000 WHEN 'min' THEN 60000 ELSE 1 END
           AS milliseconds
FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
               'idle_session_timeout', 'transaction_timeout', 'authentication_timeout')
ORDER BY name;
