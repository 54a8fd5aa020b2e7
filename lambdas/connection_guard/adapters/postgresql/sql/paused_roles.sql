-- The roles that are paused or were left paused by an expired pause: the roles of this server that
-- connection_guard_paused is granted to, except for those that may administer it.

SELECT member.rolname::text AS role
FROM pg_auth_members
JOIN pg_roles AS paused ON paused.oid = pg_auth_members.roleid
JOIN pg_roles AS member ON member.oid = pg_auth_members.member
WHERE paused.rolname = 'connection_guard_paused' AND NOT pg_auth_members.admin_option
GROUP BY member.rolname
ORDER BY member.rolname;
