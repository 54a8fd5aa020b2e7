"""Any text is either a guard.toml or refused in lines that each name a file."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.errors import ConfigurationError
from tests.unit.configuration.cases import LEFT_OUT
from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    DEPLOY,
    EXISTING_PROXY,
    NEW_PROXY,
    ORDERS,
    SECRET_KEY,
    SERVERLESS,
    WITH_SECRET,
    guard,
)

SCALARS = (
    st.sampled_from(["", "\ufeff"])
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400)])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["instance", "cluster", "iam", "secrets", "db.serverless", "db.r6g.large", "{1}", "{", "\0"]
    )
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def changed(table: Mapping[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """Return the table with some of its keys left out, and anything under others."""
    changes = st.dictionaries(
        st.sampled_from(sorted(table)), st.just(LEFT_OUT) | ANYTHING, max_size=4
    )
    return changes.map(lambda change: {**table, **change})


PROXIES = changed(EXISTING_PROXY) | changed(NEW_PROXY) | changed(WITH_SECRET) | ANYTHING
DATABASES = st.builds(
    lambda database, proxy: database | {"proxy": proxy},
    changed(
        ORDERS
        | {"max_connections": 100, "memory_gib": 8, "warning": 75, "policy": "policy.toml"}
        | {"owner": "team", "runbook": "https://a", "environment": "test", "slack_channel": "#a"}
    )
    | changed(SERVERLESS),
    PROXIES | st.just(LEFT_OUT),
)
DOCUMENTS = st.builds(
    lambda databases, deploy, notifications, applications, services: guard(
        deploy=deploy,
        notifications=notifications,
        databases=databases,
        applications=applications,
        services=services,
    ),
    st.lists(DATABASES, max_size=3) | ANYTHING,
    changed(DEPLOY | {"stack_name": "Guard-2", "tags": {"team": "platform"}, "kms_key": SECRET_KEY})
    | ANYTHING,
    changed(
        {
            "slack_secret": "guard/slack",
            "pagerduty_secret": "guard/pagerduty",
            "teams_secret": "guard/teams",
            "event_bus": "default",
            "emails": ["a@example.com"],
        }
    )
    | ANYTHING,
    st.lists(changed({"name": "checkout*", "owner": "team <S0123ABCD>"}), max_size=3) | ANYTHING,
    st.lists(
        changed(
            {"name": "api", "database": "orders", "replicas": 2, "maximum_replicas": 3}
            | {"surge": "25%", "processes": 2, "pool_size": 5, "overflow": 1, "proxy": False}
        ),
        max_size=3,
    )
    | ANYTHING,
)


@given(text=DOCUMENTS | st.text() | st.binary(), first=st.none() | DOCUMENTS | st.binary())
def test_any_file_is_read_or_refused_line_by_line(
    text: str | bytes, first: str | bytes | None, write: Write
) -> None:
    path = write(text)
    if first is not None:
        beside = path.with_name("first.toml")
        beside.write_bytes(first if isinstance(first, bytes) else first.encode())
    try:
        assert read_configuration(path, None if first is None else beside).databases
    except ConfigurationError as refused:
        lines, places = str(refused).split("\n"), ("guard.toml: ", "policy.toml: ", f"{path} ")
        assert all(line.startswith(places) for line in lines)
