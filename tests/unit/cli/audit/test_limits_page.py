"""The page of limits says what is true, in numbers and in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.access.login_options import Login
from connection_guard.cli.audit.audit_facts import AuditFacts
from connection_guard.cli.audit.limits_page import limits_document, limits_page
from connection_guard.core.database.login_role import LoginRole, ServerSettings, TimeoutSettings
from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.policy import Action, Policy, Tier
from tests.support.builders import a_capacity, a_policy, a_rule, a_snapshot, some_settings
from tests.support.configurations import a_database


def access(policy: Policy | None = None, **database: object) -> DatabaseAccess:
    configured = a_database(**database) if database else None
    return DatabaseAccess(
        "orders",
        some_settings().direct,
        lambda door: pytest.fail(f"no login is needed at {door}"),
        Login(),
        ("connection_guard",),
        80.0,
        95.0,
        policy or a_policy(),
        configured,
    )


def facts(*roles: LoginRole, **database_limits: int) -> AuditFacts:
    snapshot = a_snapshot()
    capacity = a_capacity(200, reserved=5)
    return AuditFacts(
        replace(snapshot, measurement=replace(snapshot.measurement, capacity=capacity)),
        ServerSettings(roles, TimeoutSettings({}, {}), {}, database_limits, frozenset()),
        ("connection_guard",),
        timedelta(hours=1),
        (),
    )


def test_the_numbers_are_those_of_the_server_and_of_guard_toml() -> None:
    page = limits_page(access(), facts())

    for line in (
        "| `max_connections` | 200 |",
        "| kept by `superuser_reserved_connections` | -3 |",
        "| kept by `reserved_connections` | -5 |",
        "| **usable by applications** | **192** |",
        "| warning, at 80 % | 154 |",
        "| critical, at 95 % | 183 |",
        "| the guard stops below 70 %, that is at | 134 |",
    ):
        assert line in page
    assert "rds_reserved_connections" not in page
    assert limits_document(access(), facts())["critical_at"] == 183


def test_limits_are_listed_and_their_names_not_obeyed() -> None:
    page = limits_page(
        access(), facts(LoginRole("<b>|x", 9, 0), LoginRole("app", None, 4), mail=12)
    )
    assert "| `<b>\\|x` | role | 9 |" in page
    assert "| `mail` | database | 12 |" in page
    assert "app" not in page.partition("## What happens")[0].partition("## Limits of")[2]
    assert "No role and no database has a limit" in limits_page(access(), facts())


def test_the_policy_is_in_words() -> None:
    rules = (
        a_rule("keep", action=Action.SPARE, applications=("etl-*", "cron")),
        a_rule("stale", older_than=timedelta(minutes=10), tiers=frozenset({Tier.CRITICAL})),
    )
    page = limits_page(
        access(a_policy(*rules, protect_roles=("dba",), keep_per_pool=2, most_per_run=7)), facts()
    )
    assert (
        "1. `keep` spares sessions of application `etl-*`, `cron` that are idle for 0 s\n"
        "2. `stale` terminates sessions that are idle for 10 min, only at critical\n"
    ) in page
    assert "roles `dba`" in page
    assert "terminates 7 sessions at most" in page
    assert "leaves each pool the 2 sessions that it used last" in page


def test_it_says_whom_to_ask() -> None:
    known = access(
        owner=Owner("Team <Orders>"), runbook="https://wiki.example/orders", environment="prod"
    )
    assert limits_page(known, facts()).endswith(
        "- Owner: `Team <Orders>`\n- Runbook: <https://wiki.example/orders>\n"
        "- Environment: `prod`\n"
    )
    assert "names nobody" in limits_page(access(), facts())
