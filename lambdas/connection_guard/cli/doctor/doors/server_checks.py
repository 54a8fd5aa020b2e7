"""What the database behind the doors is like, as checks."""

from datetime import timedelta
from math import ceil

from connection_guard.adapters.postgresql.names import identifier
from connection_guard.adapters.postgresql.roles import PAUSING_ROLE
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.doctor.facts.check import (
    Check,
    CheckGroup,
    Unknown,
    finding,
    ok,
    unchecked,
)
from connection_guard.cli.doctor.facts.door_facts import LoginFacts
from connection_guard.core.database.snapshot import Measurement
from connection_guard.core.decision.decide import most_sessions_below_target
from connection_guard.core.policy import Tier
from connection_guard.core.report.wording import pause_in_words
from connection_guard.core.words import of_usable, shown, spelled

DATABASE = CheckGroup.DATABASE

OLDEST_VERSION, NEWEST_VERSION = 14, 18

LARGEST_CLOCK_OFFSET = timedelta(seconds=5)
"""Beyond the time that an answer takes. Idle times use only the database's clock; tokens and alarms
use AWS's.
"""

SHORTEST_TIMEOUT = timedelta(seconds=1)
"""The guard's first statement runs under the timeouts that its role has; only then it sets its
own.
"""

FARTHEST_ESTIMATE = 0.7
"""An estimate of max_connections errs low, but hardly ever by a fifth: less is another class."""

_SHOWN_TIMEOUTS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)


def check_server(login: LoginFacts, access: DatabaseAccess) -> list[Check]:
    """Return the checks of the database."""
    measurement = login.measurement
    if measurement is None:
        what = "limits, settings, clock, pause"
        return [unchecked(DATABASE, what, "nobody got in"), check_policy(access)]
    return [
        check_version(measurement),
        check_connections(measurement),
        check_estimate(measurement, access),
        check_thresholds(measurement, access),
        check_usage(measurement, access),
        check_settings(login),
        check_timeouts(login),
        check_clock(login),
        check_policy(access),
        check_paused(login, measurement, access),
    ]


def check_version(measurement: Measurement) -> Check:
    """Check that it is a version that the guard is tested with."""
    version = measurement.server.version
    major = int(version.partition(".")[0])
    if OLDEST_VERSION <= major <= NEWEST_VERSION:
        return ok(DATABASE, "version", f"PostgreSQL {version}")
    return finding(
        DATABASE,
        "version",
        f"PostgreSQL {version} is not one of {OLDEST_VERSION} to {NEWEST_VERSION}, with which the "
        "guard is tested",
        "SHOW server_version;",
    )


def check_connections(measurement: Measurement) -> Check:
    """Show what applications can get, and what keeps them from the rest."""
    capacity = measurement.capacity
    less = "".join(
        f" - {count} {name}" for name, count in capacity.reservations.items() if count > 0
    )
    live = f"max_connections {capacity.max_connections}{less} = {capacity.usable} usable"
    if capacity.max_connections <= sum(capacity.reservations.values()):
        detail = f"{live}: everything is reserved"
        return finding(DATABASE, "connections", detail, "SHOW max_connections;")
    return ok(DATABASE, "connections", live)


def check_estimate(measurement: Measurement, access: DatabaseAccess) -> Check:
    """Check that the alarms fire in time until the first heartbeat."""
    if access.configured is None:
        return unchecked(DATABASE, "estimate", "no database of a guard.toml was named")
    estimate, capacity = access.configured.max_connections, measurement.capacity
    compared = (
        f"guard.toml leads to max_connections {estimate.max_connections} and {estimate.usable} "
        f"usable, the server has {capacity.max_connections} and {capacity.usable}"
    )
    right = f"max_connections = {capacity.max_connections}  # in guard.toml"
    if estimate.usable > capacity.usable:
        late = f"{compared}: the alarms would fire late until the first heartbeat"
        return finding(DATABASE, "estimate", late, right)
    if estimate.max_connections < FARTHEST_ESTIMATE * capacity.max_connections:
        early = (
            f"{compared}: instance_class is another, or the parameter group sets max_connections"
        )
        return finding(DATABASE, "estimate", early, right)
    return ok(DATABASE, "estimate", compared)


def check_thresholds(measurement: Measurement, access: DatabaseAccess) -> Check:
    """Check that the thresholds leave time to act on a server of this size."""
    usable = measurement.capacity.usable
    warning = ceil(usable * access.warning_percent / 100)
    critical = ceil(usable * access.critical_percent / 100)
    target = most_sessions_below_target(usable, access.policy.limits)
    what = (
        f"warning at {access.warning_percent:g} % ({warning} of {usable}), critical at "
        f"{access.critical_percent:g} % ({critical}), terminated down to {target}"
    )
    if critical >= usable:
        late = f"{what}: the critical alarm fires only when all are in use"
        return finding(DATABASE, "thresholds", late, "critical = 80, warning = 70  # in guard.toml")
    return ok(DATABASE, "thresholds", what)


def check_usage(measurement: Measurement, access: DatabaseAccess) -> Check:
    """Check that there is no shortage now."""
    used, usable = measurement.used, measurement.capacity.usable
    now = f"{of_usable(used, usable)} in use ({measurement.utilisation:.0f} %)"
    if measurement.utilisation >= access.warning_percent:
        shown_by = f"connection-guard plan {access.arguments}"
        return finding(DATABASE, "usage", f"{now}: above the warning threshold", shown_by)
    return ok(DATABASE, "usage", now)


def check_settings(login: LoginFacts) -> Check:
    """Show which settings the guard meets that others have given its role or database."""
    if isinstance(login.examination, Unknown):
        return unchecked(DATABASE, "settings", shown(login.examination.why))
    settings = login.examination.settings
    if not settings:
        return ok(DATABASE, "settings", "none is set on the guard's roles or their database")
    overridden = [shown(each.name) for each in settings if each.is_overridden]
    harmless = [shown(each.name) for each in settings if not each.is_overridden]
    parts = [
        *([f"{', '.join(overridden)}: the guard's session overrides them"] if overridden else []),
        *([f"{', '.join(harmless)}: without effect on the guard"] if harmless else []),
    ]
    return ok(DATABASE, "settings", "; ".join(parts))


def check_timeouts(login: LoginFacts) -> Check:
    """Check that no timeout ends the guard's first statement, and show the others."""
    if isinstance(login.examination, Unknown):
        return unchecked(DATABASE, "timeouts", shown(login.examination.why))
    timeouts = login.examination.timeouts
    short = [
        name
        for name in ("statement_timeout", "transaction_timeout")
        if timedelta() < timeouts.get(name, timedelta()) < SHORTEST_TIMEOUT
    ]
    if short:
        resets = [each.reset for each in login.examination.settings if each.name in short]
        role = identifier(login.door.role)
        detail = f"{' and '.join(short)} can end the guard's login before it sets its own"
        statements = resets or [f"ALTER ROLE {role} SET {name} = '5s';" for name in short]
        return finding(DATABASE, "timeouts", detail, *statements)
    parts = [
        f"{name} {spelled(timeouts[name]) if timeouts[name] else 'off'}"
        for name in _SHOWN_TIMEOUTS
        if name in timeouts
    ]
    return ok(DATABASE, "timeouts", f"as the guard's role begins: {', '.join(parts)}")


def check_clock(login: LoginFacts) -> Check:
    """Check that the database's clock is this machine's, which signs tokens here."""
    offset = login.clock_offset
    if abs(offset) > LARGEST_CLOCK_OFFSET:
        direction = "ahead of" if offset > timedelta() else "behind"
        return finding(
            DATABASE,
            "clock",
            f"the database's clock is {abs(offset).total_seconds():.0f} s {direction} this "
            "machine's: AWS refuses tokens that are signed at another time",
            "timedatectl timesync-status",
        )
    return ok(DATABASE, "clock", "the database and this machine agree")


def check_policy(access: DatabaseAccess) -> Check:
    """Show what the policy does at each tier."""
    modes = access.policy.modes
    what = ", ".join(f"{modes[tier]} at {tier}" for tier in Tier)
    return ok(DATABASE, "policy", what)


def check_paused(login: LoginFacts, measurement: Measurement, access: DatabaseAccess) -> Check:
    """Check that nobody has paused the guard, and show what an expired pause has left."""
    if measurement.pause is not None:
        roles = ", ".join(map(identifier, access.guard_roles))
        return finding(
            DATABASE,
            "paused",
            f"the guard is {pause_in_words(measurement.pause)}: every run only observes",
            f"REVOKE {PAUSING_ROLE} FROM {roles};",
        )
    acts = "no: the guard acts as its policy says"
    if not isinstance(login.examination, Unknown) and any(
        role.was_paused for role in login.examination.roles
    ):
        acts += (
            "; a pause that has expired is left: until `connection-guard resume`, a GRANT by hand "
            "has no effect without ALTER ROLE ... VALID UNTIL"
        )
    return ok(DATABASE, "paused", acts)
