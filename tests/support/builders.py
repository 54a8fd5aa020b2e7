"""Builders: each returns a plausible value, so that a test names only what it is about."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import count
from typing import Any

from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.adapters.postgresql.rows.statements import last_use
from connection_guard.core.database.capacity import Capacity, ConnectionLimit
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.database.snapshot import Measurement, Privileges, Server, Snapshot
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.policy import Action, Limits, Mode, Policy, Protection, Rule, Tier

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
_pids = count(1000)


def a_session(
    *,
    pid: int | None = None,
    state: SessionState | None = SessionState.IDLE,
    idle_for: timedelta = timedelta(minutes=1),
    role: str = "app",
    database: str = "shop",
    application: str = "checkout",
    client: str = "10.0.1.10",
    connected_for: timedelta | None = None,
    query: str = "SELECT ? FROM orders",
    superuser: bool = False,
    listening: bool = False,
    advisory_lock: bool = False,
    proxied: bool = False,
    blocked_by: tuple[int, ...] = (),
    wait_event_type: str | None = "Client",
    wait_event: str | None = "ClientRead",
) -> Session:
    """Return a session that has been in its state for `idle_for`."""
    in_transaction = state not in (None, SessionState.IDLE)
    return Session(
        pid=next(_pids) if pid is None else pid,
        backend_start=NOW
        - (connected_for if connected_for is not None else idle_for + timedelta(minutes=5)),
        role=role,
        role_id=16384,
        database=database,
        application_name=application,
        client_address=client,
        state=state,
        state_change=NOW - idle_for if state is not None else None,
        transaction_start=NOW - idle_for if in_transaction else None,
        query_start=NOW - idle_for if state is not None else None,
        wait_event_type=wait_event_type,
        wait_event=wait_event,
        query=query,
        is_superuser=superuser,
        is_listening=listening,
        holds_advisory_lock=advisory_lock,
        is_owned_by_proxy=proxied,
        blocked_by=blocked_by,
        is_owned_by_amazon=role in AMAZON_ROLES,
        last_use=last_use(query),
    )


def a_server(**changes: object) -> Server:
    """Return a writer that has been running for a day."""
    facts: dict[str, object] = {
        "address": "10.0.0.5",
        "port": 5432,
        "started_at": NOW - timedelta(days=1),
        "version": "16.14",
        "database": "postgres",
        "is_in_recovery": False,
    }
    return Server(**(facts | changes))  # type: ignore[arg-type]


def a_capacity(
    max_connections: int = 100,
    *,
    superuser: int = 3,
    reserved: int = 0,
    rds_superuser: int = 0,
    rds: int = 0,
) -> Capacity:
    """Return a capacity of 97 usable connections."""
    return Capacity(
        max_connections,
        {
            "superuser_reserved_connections": superuser,
            "reserved_connections": reserved,
            "rds_superuser_reserved_connections": rds_superuser,
            "rds_reserved_connections": rds,
        },
    )


def a_measurement(
    *,
    used: int = 10,
    capacity: Capacity | None = None,
    states: dict[str, int] | None = None,
    limits: tuple[ConnectionLimit, ...] = (),
    privileges: Privileges | None = None,
    server: Server | None = None,
) -> Measurement:
    """Return a measurement of a database with 97 usable connections."""
    return Measurement(
        taken_at=NOW,
        server=server or a_server(),
        role="connection_guard",
        privileges=privileges or Privileges(True, True, True),
        capacity=capacity or a_capacity(),
        used=used,
        sessions_by_state=states if states is not None else {"idle": used},
        oldest_idle_in_transaction=timedelta(),
        limits=limits,
        other_backends={"checkpointer": 1, "walwriter": 1},
    )


def a_snapshot(
    *sessions: Session,
    usable: int = 97,
    limits: tuple[ConnectionLimit, ...] = (),
    privileges: Privileges | None = None,
) -> Snapshot:
    """Return a snapshot of these sessions on a database with `usable` connections."""
    states: dict[str, int] = {}
    for session in sessions:
        state = session.state or "hidden"
        states[state] = states.get(state, 0) + 1
    measurement = a_measurement(
        used=len(sessions),
        capacity=a_capacity(usable + 3),
        states=states,
        limits=limits,
        privileges=privileges,
    )
    return Snapshot(measurement, NOW, sessions)


def a_rule(
    name: str = "stale idle",
    *,
    action: Action = Action.TERMINATE,
    states: frozenset[SessionState] = frozenset({SessionState.IDLE}),
    older_than: timedelta = timedelta(),
    roles: tuple[str, ...] = (),
    databases: tuple[str, ...] = (),
    applications: tuple[str, ...] = (),
    clients: tuple[str, ...] = (),
    tiers: frozenset[Tier] = frozenset(Tier),
    even_with_advisory_lock: bool = False,
    even_if_listening: bool = False,
) -> Rule:
    """Return a rule that terminates any idle session unless the arguments say otherwise."""
    networks = tuple(ip_network(client) for client in clients)
    return Rule(
        name=name,
        action=action,
        states=states,
        older_than=older_than,
        roles=roles,
        databases=databases,
        applications=applications,
        clients=networks,
        tiers=tiers,
        even_with_advisory_lock=even_with_advisory_lock,
        even_if_listening=even_if_listening,
    )


def a_policy(
    *rules: Rule,
    modes: dict[Tier, Mode] | None = None,
    protect_roles: tuple[str, ...] = (),
    protect_databases: tuple[str, ...] = (),
    protect_applications: tuple[str, ...] = (),
    protect_clients: tuple[str, ...] = (),
    target_percent: float = 70,
    most_per_run: int = 1000,
    most_per_hour: int = 10_000,
    refuse_above_percent: float = 100,
    keep_per_pool: int = 0,
    batch_size: int = 50,
    pause: timedelta = timedelta(),
    watch: timedelta = timedelta(),
    attempts: int = 10,
) -> Policy:
    """Return a policy without caution: it observes at warning, enforces at critical, and has no
    limit that matters but the target.
    """
    return Policy(
        modes=modes or {Tier.WARNING: Mode.OBSERVE, Tier.CRITICAL: Mode.ENFORCE},
        protection=Protection(
            roles=protect_roles,
            databases=protect_databases,
            applications=protect_applications,
            clients=tuple(ip_network(client) for client in protect_clients),
        ),
        rules=rules or (a_rule(),),
        limits=Limits(
            target_percent=target_percent,
            most_per_run=most_per_run,
            most_per_hour=most_per_hour,
            refuse_above_percent=refuse_above_percent,
            keep_per_pool=keep_per_pool,
            batch_size=batch_size,
            pause_between_batches=pause,
            watch_for_reconnects=watch,
            attempts=attempts,
        ),
    )


CRITICAL_ALARM = (
    "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:orders-prod connections critical"
)
WARNING_ALARM = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:orders-prod connections warning"


def some_settings(
    *,
    direct: Door | None = None,
    proxy: Door | None = None,
    database_name: str = "postgres",
    watch_from_percent: float = 75,
) -> ResponderSettings:
    """Return the settings of a guarded database named orders-prod."""
    return ResponderSettings(
        database="orders-prod",
        database_name=database_name,
        region="eu-central-1",
        proxy=proxy,
        direct=direct
        or Door(DoorName.DIRECT, "orders-prod.cluster.example", 5432, "connection_guard"),
        warning_percent=75,
        critical_percent=90,
        watch_from_percent=watch_from_percent,
        alarms={CRITICAL_ALARM: Tier.CRITICAL, WARNING_ALARM: Tier.WARNING},
    )


def an_alarm_event(
    arn: str = CRITICAL_ALARM,
    *,
    state: str = "ALARM",
    changed_at: datetime | None = None,
    database: str = "orders-prod",
    **more: object,
) -> dict[str, Any]:
    """Return what SNS delivers for a metric-math alarm; `more` are further fields of the alarm's
    message.
    """
    threshold = 75.0 if arn == WARNING_ALARM else 90.0
    message = {
        "AlarmName": arn.rpartition(":")[2],
        "AlarmDescription": None,
        "AWSAccountId": "123456789012",
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed: 1 datapoint [97.9] was greater than the threshold "
        f"({threshold}).",
        "StateChangeTime": (changed_at or datetime.now(UTC))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "+0000"),
        "Region": "EU (Frankfurt)",
        "AlarmArn": arn,
        "OldStateValue": "OK",
        "Trigger": {
            "Period": 60,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Threshold": threshold,
            "Metrics": [
                {
                    "Id": "utilisation",
                    "Expression": "IF(connections > 0, 100 * connections / usable)",
                    "ReturnData": True,
                },
                {
                    "Id": "connections",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/RDS",
                            "MetricName": "DatabaseConnections",
                            "Dimensions": [{"name": "DBInstanceIdentifier", "value": database}],
                        },
                        "Period": 60,
                        "Stat": "Maximum",
                    },
                    "ReturnData": False,
                },
            ],
        },
        **more,
    }
    sns = {
        "Type": "Notification",
        "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
        "Message": json.dumps(message),
    }
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]}


def a_heartbeat_at(minute: int) -> dict[str, Any]:
    """Return the heartbeat's event of this minute."""
    return a_heartbeat_event(NOW + timedelta(minutes=minute))


def a_heartbeat_event(at: datetime = NOW + timedelta(minutes=1)) -> dict[str, Any]:
    """Return what EventBridge delivers every minute."""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/orders-prod-heartbeat"],
        "detail": {},
    }
