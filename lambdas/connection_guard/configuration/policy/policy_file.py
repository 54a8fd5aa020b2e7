"""Reads policy.toml: the keys of its tables, and every mistake at once, each with its place and
what would be right.
"""

from collections.abc import Mapping
from datetime import timedelta

from connection_guard.configuration.policy import consistency, values
from connection_guard.configuration.toml.tables import Key, parse_document, read_whole, unknown
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier
from connection_guard.errors import ConfigurationError

MOST_CONNECTIONS = (
    262_143  # the highest max_connections that PostgreSQL takes (pg_settings.max_val)
)


def parse_policy(text: str, source: str = "policy.toml") -> Policy:
    """The policy that the text describes; `source` names it in messages.

    Raises ConfigurationError with one line for every mistake. Whether values make sense together is
    judged where each of them is right by itself.
    """
    document = parse_document(text, source, "each rule begins with [[rules]]")
    mistakes = [unknown(key, _TABLES) for key in document if key not in _TABLES]
    modes = read_whole(document.get("tiers", {}), _TIERS, "tiers", mistakes)
    protect = read_whole(document.get("protect", {}), _PROTECT, "protect", mistakes)
    rules = _read_rules(document.get("rules", []), mistakes)
    limits = read_whole(document.get("limits", {}), _LIMITS, "limits", mistakes)

    protection = Protection(**protect) if protect else Protection((), (), (), ())
    mistakes += consistency.names_used_twice(rules)
    mistakes += consistency.rules_that_never_match(rules, protection)
    mistakes += consistency.rules_that_spare_in_vain(rules)
    if limits:
        mistakes += consistency.contradictory_limits(Limits(**limits))
    if modes and not mistakes:
        mistakes += consistency.tiers_that_enforce_nothing(modes, rules.values())
    if mistakes or not modes or not limits:
        raise ConfigurationError("\n".join(f"{source}: {mistake}" for mistake in mistakes))
    return Policy(modes, protection, tuple(rules.values()), Limits(**limits))


_TABLES = ("tiers", "protect", "rules", "limits")

_TIERS = {
    "warning": Key(Tier.WARNING, values.one_of(Mode), '"observe"'),
    "critical": Key(Tier.CRITICAL, values.one_of(Mode), '"enforce"'),
}

_PROTECT = {
    "roles": Key("roles", values.list_of(values.glob), default=()),
    "databases": Key("databases", values.list_of(values.glob), default=()),
    "applications": Key("applications", values.list_of(values.application_glob), default=()),
    "clients": Key("clients", values.list_of(values.network), default=()),
}

_LEAVE_OUT = "name at least one, or leave the key out to match any"
_SOME_GLOBS = values.list_of(values.glob, if_empty=_LEAVE_OUT)

_RULE = {
    "name": Key("name", values.name, '"stale idle"'),
    "action": Key("action", values.one_of(Action), '"terminate"'),
    "roles": Key("roles", _SOME_GLOBS, default=()),
    "databases": Key("databases", _SOME_GLOBS, default=()),
    "applications": Key(
        "applications", values.list_of(values.application_glob, if_empty=_LEAVE_OUT), default=()
    ),
    "clients": Key("clients", values.list_of(values.network, if_empty=_LEAVE_OUT), default=()),
    "tiers": Key(
        "tiers", values.set_of(values.one_of(Tier), if_empty=_LEAVE_OUT), default=frozenset(Tier)
    ),
}

_EVEN_IF = {
    "even_with_advisory_lock": Key("even_with_advisory_lock", values.truth, default=False),
    "even_if_listening": Key("even_if_listening", values.truth, default=False),
}

_TERMINATING_RULE = {
    **_RULE,
    "states": Key(
        "states",
        values.set_of(values.state, if_empty='name at least one, such as "idle"'),
        '["idle"]',
    ),
    # At least a second: a healthy session is idle for a moment after every statement.
    "older_than": Key("older_than", values.duration_between("1s", "365d"), '"10m"'),
    **_EVEN_IF,
}

_SPARING_RULE = {
    **_RULE,
    "states": Key(
        "states",
        values.set_of(values.state, if_empty=_LEAVE_OUT),
        default=frozenset(values.VICTIM_STATES),
    ),
    "older_than": Key("older_than", values.duration_between("0s", "365d"), default=timedelta()),
    **{key: Key(key, values.only_when_terminating, default=True) for key in _EVEN_IF},
}

_KEYS_BY_ACTION: Mapping[object, Mapping[str, Key]] = {
    Action.TERMINATE: _TERMINATING_RULE,
    Action.SPARE: _SPARING_RULE,
}
# Where the action itself is wrong, only what is wrong with either is a mistake.
_KEYS_OF_EITHER_ACTION = {**_SPARING_RULE, **_EVEN_IF}

_LIMITS = {
    "target": Key("target_percent", values.percent_below_100, "70"),
    "most_per_run": Key("most_per_run", values.whole_number(1, MOST_CONNECTIONS), "100"),
    "most_per_hour": Key("most_per_hour", values.whole_number(1, MOST_CONNECTIONS), "300"),
    "refuse_above": Key("refuse_above_percent", values.percent, "50"),
    "keep_per_pool": Key("keep_per_pool", values.whole_number(0, MOST_CONNECTIONS), "1"),
    "batch_size": Key("batch_size", values.whole_number(1, 50), "50"),
    "pause_between_batches": Key(
        "pause_between_batches", values.duration_between("0s", "20s"), '"1s"'
    ),
    "watch_for_reconnects": Key(
        "watch_for_reconnects", values.duration_between("0s", "10s"), '"3s"'
    ),
    "attempts": Key("attempts", values.whole_number(1, 1440), "10"),  # one a minute: a day at most
}


def _read_rules(tables: object, mistakes: list[str]) -> dict[str, Rule]:
    """The rules that have no mistakes by their places, in order."""
    if not isinstance(tables, list):
        hint = "write [[rules]], in two brackets, above each rule"
        mistakes.append(f"rules: {values.shown(tables)} is not a list of tables; {hint}")
        return {}
    rules: dict[str, Rule] = {}
    for index, table in enumerate(tables):
        written = table if isinstance(table, dict) else {}
        name, action = written.get("name"), written.get("action")
        place = (
            f"rules[{index}] {values.shown(name) if isinstance(name, str) else '(counted from 0)'}"
        )
        keys = _KEYS_BY_ACTION.get(action) if isinstance(action, str) else None
        if fields := read_whole(table, keys or _KEYS_OF_EITHER_ACTION, place, mistakes):
            rules[place] = Rule(**fields)
    return rules
