-- Marks a session of a drill, and lets the server end it by itself: when the drill has to be over,
-- or a minute after the drill's machine has gone without a word.
--   \set application_name 'connection-guard drill'
--   \set idle_session_timeout '30min'

SET application_name = :'application_name';
SET idle_session_timeout = :'idle_session_timeout';
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
