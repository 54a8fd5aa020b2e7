-- Ends the pause of these roles of the guard, also one that has expired, in one transaction. Where no
-- other role is paused, nothing is left of it: a later GRANT by hand then pauses until it is revoked.
--   \set roles '{connection_guard}'

SET LOCAL transaction_read_only = off;
SET LOCAL lock_timeout = '2s';
SELECT set_config('connection_guard.roles', :'roles', true);

DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT member.rolname AS guard, grantor.rolname AS grantor
        FROM pg_auth_members
        JOIN pg_roles AS paused ON paused.oid = pg_auth_members.roleid
        JOIN pg_roles AS member ON member.oid = pg_auth_members.member
        LEFT JOIN pg_roles AS grantor ON grantor.oid = pg_auth_members.grantor
        WHERE paused.rolname = 'connection_guard_paused'
          AND member.rolname = ANY (current_setting('connection_guard.roles')::text[])
    LOOP
        -- From PostgreSQL 16 on each grantor has a grant of its own (PostgreSQL manual, REVOKE).
        EXECUTE format(
            CASE WHEN current_setting('server_version_num')::int >= 160000
                 THEN 'REVOKE connection_guard_paused FROM %I GRANTED BY %I'
                 ELSE 'REVOKE connection_guard_paused FROM %I' END,
            held.guard, held.grantor);
    END LOOP;
    -- The role that created it may administer it, which does not pause that role.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'connection_guard_paused'
                 AND (rolvaliduntil < 'infinity' OR shobj_description(oid, 'pg_authid') IS NOT NULL))
       AND NOT EXISTS (SELECT FROM pg_auth_members
                       JOIN pg_roles AS paused ON paused.oid = pg_auth_members.roleid
                       WHERE paused.rolname = 'connection_guard_paused' AND NOT admin_option)
    THEN
        ALTER ROLE connection_guard_paused VALID UNTIL 'infinity';
        COMMENT ON ROLE connection_guard_paused IS NULL;
    END IF;
END
$$;
