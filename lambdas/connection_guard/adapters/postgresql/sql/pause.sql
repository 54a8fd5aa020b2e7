-- Pauses the guard, in one transaction (several statements in one string are one: PostgreSQL manual,
-- "Multiple Statements in a Simple Query"), which must first declare that it writes.
--   \set roles '{connection_guard}'
--   \set lasts '2 hours'
--   \set note 'alice: load test'

SET LOCAL transaction_read_only = off;
SET LOCAL lock_timeout = '2s';
-- Parameters do not reach into the block below: as settings, no text in them can end it.
SELECT set_config('connection_guard.roles', :'roles', true),
       -- A NULL interval is a pause without an end.
       set_config(
           'connection_guard.ends_at',
           coalesce((clock_timestamp() + :'lasts'::interval)::text, 'infinity'),
           true
       ),
       -- As bytes: the guard's session converts no text that it sends.
       set_config('connection_guard.note', convert_from(:'note'::bytea, 'UTF8'), true);

DO $$
DECLARE
    guard text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'connection_guard_paused') THEN
        CREATE ROLE connection_guard_paused NOLOGIN;
    END IF;
    EXECUTE format('ALTER ROLE connection_guard_paused VALID UNTIL %L',
                   current_setting('connection_guard.ends_at'));
    EXECUTE format('COMMENT ON ROLE connection_guard_paused IS %L',
                   current_setting('connection_guard.note'));
    FOREACH guard IN ARRAY current_setting('connection_guard.roles')::text[] LOOP
        EXECUTE format('GRANT connection_guard_paused TO %I', guard);
    END LOOP;
END
$$;
