"""Read policy.toml: every mistake at once, each with its place and what to write instead."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from connection_guard.configuration.max_connections.bounds import MOST_CONNECTIONS
from connection_guard.configuration.policy import consistency, matchers
from connection_guard.configuration.toml import readers
from connection_guard.configuration.toml.tables import Key, parse_document, read_whole, unknown
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier
from connection_guard.errors import ConfigurationError

SHIPPED_POLICY = Path(__file__).with_name("shipped_policy.toml")


def parse_policy(text: str, source: str = "policy.toml") -> Policy:
    """Return the policy that the text describes; `source` names it in messages.

    Raise ConfigurationError with one line for every mistake. Values that contradict one another are
    reported only where each of them is right by itself.
    """
    document = parse_document(text, source, "[[rules]] above each rule")
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
        raise ConfigurationError(*(f"{source}: {mistake}" for mistake in mistakes))
    return Policy(modes, protection, tuple(rules.values()), Limits(**limits))


_TABLES = ("tiers", "protect", "rules", "limits")

_TIERS = {
    "warning": Key(Tier.WARNING, readers.one_of(Mode), '"observe"'),
    "critical": Key(Tier.CRITICAL, readers.one_of(Mode), '"enforce"'),
}

_PROTECT = {
    "roles": Key("roles", readers.list_of(matchers.glob), default=()),
    "databases": Key("databases", readers.list_of(matchers.glob), default=()),
    "applications": Key("applications", readers.list_of(matchers.application_glob), default=()),
    "clients": Key("clients", readers.list_of(matchers.network), default=()),
}

_EMPTY = "is empty, so the rule could never match; name at least one"
_EMPTY_OR_ANY = f"{_EMPTY}, or leave the key out to match any"
_SOME_GLOBS = readers.list_of(matchers.glob, if_empty=_EMPTY_OR_ANY)

_RULE = {
    "name": Key("name", readers.name, '"stale idle"'),
    "action": Key("action", readers.one_of(Action), '"terminate"'),
    "roles": Key("roles", _SOME_GLOBS, default=()),
    "databases": Key("databases", _SOME_GLOBS, default=()),
    "applications": Key(
        "applications",
        readers.list_of(matchers.application_glob, if_empty=_EMPTY_OR_ANY),
        default=(),
    ),
    "clients": Key(
        "clients", readers.list_of(matchers.network, if_empty=_EMPTY_OR_ANY), default=()
    ),
    "tiers": Key(
        "tiers",
        readers.set_of(readers.one_of(Tier), if_empty=_EMPTY_OR_ANY),
        default=frozenset(Tier),
    ),
}

_EVEN_IF = {
    "even_with_advisory_lock": Key("even_with_advisory_lock", readers.truth, default=False),
    "even_if_listening": Key("even_if_listening", readers.truth, default=False),
}

_TERMINATING_RULE = {
    **_RULE,
    "states": Key(
        "states",
        readers.set_of(matchers.state, if_empty=f'{_EMPTY}, such as "idle"'),
        '["idle"]',
    ),
    # At least one second: a healthy session is idle for a moment after every statement.
    "older_than": Key("older_than", readers.duration_between("1s", "365d"), '"10m"'),
    **_EVEN_IF,
}

_SPARING_RULE = {
    **_RULE,
    "states": Key(
        "states",
        readers.set_of(matchers.state, if_empty=_EMPTY_OR_ANY),
        default=frozenset(matchers.VICTIM_STATES),
    ),
    "older_than": Key("older_than", readers.duration_between("0s", "365d"), default=timedelta()),
    **{key: Key(key, matchers.only_when_terminating, default=True) for key in _EVEN_IF},
}

_KEYS_BY_ACTION: Mapping[object, Mapping[str, Key]] = {
    Action.TERMINATE: _TERMINATING_RULE,
    Action.SPARE: _SPARING_RULE,
}
# Where the action itself is wrong, only what no action allows is a mistake.
_KEYS_OF_EITHER_ACTION = {**_SPARING_RULE, **_EVEN_IF}

_LIMITS = {
    "target": Key("target_percent", readers.percent_below_100, "70"),
    "most_per_run": Key("most_per_run", readers.whole_number(1, MOST_CONNECTIONS), "100"),
    "most_per_hour": Key("most_per_hour", readers.whole_number(1, MOST_CONNECTIONS), "300"),
    "refuse_above": Key("refuse_above_percent", readers.percent, "50"),
    "keep_per_pool": Key("keep_per_pool", readers.whole_number(0, MOST_CONNECTIONS), "1"),
    "batch_size": Key("batch_size", readers.whole_number(1, 50), "50"),
    "pause_between_batches": Key(
        "pause_between_batches", readers.duration_between("0s", "20s"), '"1s"'
    ),
    "watch_for_reconnects": Key(
        "watch_for_reconnects", readers.duration_between("0s", "10s"), '"3s"'
    ),
    "attempts": Key(
        "attempts", readers.whole_number(1, 1440), "10"
    ),  # one per minute: at most a day
}


def _read_rules(tables: object, mistakes: list[str]) -> dict[str, Rule]:
    """Return the rules that have no mistakes, by their places and in order."""
    if not isinstance(tables, list):
        hint = "write [[rules]], in double brackets, above each rule"
        mistakes.append(f"rules: {readers.given(tables)} is not a list of tables; {hint}")
        return {}
    rules: dict[str, Rule] = {}
    for index, table in enumerate(tables):
        written = table if isinstance(table, dict) else {}
        name, action = written.get("name"), written.get("action")
        place = (
            f"rules[{index}] {readers.given(name) if isinstance(name, str) else '(counted from 0)'}"
        )
        keys = _KEYS_BY_ACTION.get(action) if isinstance(action, str) else None
        if fields := read_whole(table, keys or _KEYS_OF_EITHER_ACTION, place, mistakes):
            rules[place] = Rule(**fields)
    return rules
