"""Builders of what the doctor sees: a test names what is wrong, the rest is as it has to be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connection_guard.adapters.postgresql.examination.examine import Examination, GuardRole
from connection_guard.cli.access.database_access import DatabaseAccess
from connection_guard.cli.access.login_options import Login
from connection_guard.cli.doctor.facts.aws_facts import (
    AwsFacts,
    DeadLetterCount,
    DeployedAlarm,
    DeployedFunction,
    DeployedTopic,
    DescribedStack,
    ProxyInRds,
    ServerInRds,
)
from connection_guard.cli.doctor.facts.check import Check, CheckResult
from connection_guard.cli.doctor.facts.door_facts import (
    Certificate,
    DoorFacts,
    LoginFacts,
    NetworkFacts,
    TlsFacts,
)
from connection_guard.configuration.guard.guard_configuration import Database
from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.deployment.reporter_settings import ReporterSettings
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.core.policy import Tier
from tests.support.builders import a_measurement
from tests.support.configurations import ACCOUNT, REGION, a_configuration, a_database

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
GUARD = "connection_guard"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:incidents"
OWN_TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:reports"
QUEUES = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}"
TIERS = {"warning": Tier.WARNING, "critical": Tier.CRITICAL, "critical-measured": Tier.CRITICAL}
WATCHED = ("unguarded", "limit")


def is_ok(check: Check) -> bool:
    """Return whether the check found nothing."""
    return check.result is CheckResult.OK


def is_finding(check: Check) -> bool:
    """Return whether there is something to do."""
    return check.result is CheckResult.FINDING


def is_unchecked(check: Check) -> bool:
    """Return whether nobody knows."""
    return check.result is CheckResult.UNCHECKED


def an_access(database: Database | None = None, **changes: Any) -> DatabaseAccess:
    """Return the access to a database of guard.toml, with an IAM token."""
    database = database or a_database()

    def connect(door: Door) -> Any:
        raise AssertionError(f"nothing logs in at {door}")

    facts: dict[str, Any] = {
        "name": database.identifier,
        "door": Door(DoorName.DIRECT, database.host, database.port, database.role),
        "connect": connect,
        "login": Login(iam=True, dbname=database.database_name),
        "guard_roles": (database.role,),
        "warning_percent": database.warning_percent,
        "critical_percent": database.critical_percent,
        "policy": database.policy,
        "configured": database,
        "roots": Path("roots.pem"),
        "configuration": a_configuration(database),
    }
    return DatabaseAccess(**(facts | changes))


def a_door(name: DoorName = DoorName.DIRECT, **changes: Any) -> Door:
    """Return a door of "orders"."""
    facts: dict[str, Any] = {
        "name": name,
        "host": a_database().host,
        "port": 5432,
        "role": GUARD,
    }
    return Door(**(facts | changes))


def a_certificate(days: float = 300, name: str = "orders.example") -> Certificate:
    """Return a certificate that ends in so many days."""
    return Certificate((name,), "Amazon RDS", NOW + timedelta(days=days, minutes=1))


def some_network(**changes: Any) -> NetworkFacts:
    """Return a way to a door without obstacles."""
    facts: dict[str, Any] = {
        "addresses": ("10.0.0.5",),
        "tunnel": None,
        "connected": "10.0.0.5:5432",
        "tls": TlsFacts(True, "TLSv1.3", a_certificate()),
    }
    return NetworkFacts(**(facts | changes))


def a_guard_role(**changes: Any) -> GuardRole:
    """Return the guard's role with everything that it needs."""
    facts: dict[str, Any] = {
        "name": GUARD,
        "is_there": True,
        "can_log_in": True,
        "connection_limit": -1,
        "reads_all_stats": True,
        "signals_sessions": True,
        "uses_reserved_connections": True,
        "has_rds_iam": True,
        "was_paused": False,
    }
    return GuardRole(**(facts | changes))


def a_login(*roles: GuardRole, **changes: Any) -> LoginFacts:
    """Return a login that saw a server with these roles."""
    facts: dict[str, Any] = {
        "door": a_door(),
        "measurement": a_measurement(),
        "examination": Examination(roles or (a_guard_role(),), (), {}),
    }
    return LoginFacts(**(facts | changes))


def a_visit(network: NetworkFacts | None = None, door: Door | None = None) -> DoorFacts:
    """Return a door that was visited now."""
    return DoorFacts(door or a_door(), network or some_network(), a_login(), NOW)


def responder_settings(database: Database | None = None, **changes: Any) -> ResponderSettings:
    """Return what the responder of the database is deployed with."""
    database = database or a_database()
    settings = ResponderSettings(
        database=database.identifier,
        database_name=database.database_name,
        region=REGION,
        proxy=None,
        direct=Door(DoorName.DIRECT, database.host, database.port, database.role),
        warning_percent=database.warning_percent,
        critical_percent=database.critical_percent,
        watch_from_percent=database.watch_from_percent,
        alarms={alarm_arn(f"connection-guard-orders-{what}"): tier for what, tier in TIERS.items()},
    )
    return replace(settings, **changes)


def alarm_arn(name: str) -> str:
    """Return the ARN of an alarm."""
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"


def reporter_settings(**changes: Any) -> ReporterSettings:
    """Return what the reporter is deployed with."""
    settings = ReporterSettings(
        "table", "bucket", TOPIC, f"{QUEUES}/unreadable", "dashboard", "/databases", "/log"
    )
    return replace(settings, **changes)


def a_function(**changes: Any) -> DeployedFunction:
    """Return the responder of "orders"."""
    facts: dict[str, Any] = {
        "name": "guard-orders",
        "state": "Active",
        "last_update": "Successful",
        "reason": "",
        "settings": responder_settings(),
        "log_group": "/connection-guard/Guard",
    }
    return DeployedFunction(**(facts | changes))


def a_stack(**changes: Any) -> DescribedStack:
    """Return a stack with the people's topics."""
    facts: dict[str, Any] = {
        "status": "UPDATE_COMPLETE",
        "outputs": {StackOutput.INCIDENTS_TOPIC: TOPIC, StackOutput.REPORTER: "guard-reporter"},
        "resources": {},
    }
    return DescribedStack(**(facts | changes))


def an_alarm(name: str, **changes: Any) -> DeployedAlarm:
    """Return an alarm that is off."""
    facts: dict[str, Any] = {
        "name": name,
        "state": "OK",
        "has_actions": True,
        "threshold": {"warning": 75.0}.get(name.rpartition("-")[2], 90.0),
    }
    return DeployedAlarm(**(facts | changes))


def the_alarms() -> tuple[DeployedAlarm, ...]:
    """Return those of "orders"."""
    return tuple(an_alarm(f"connection-guard-orders-{what}") for what in (*TIERS, *WATCHED))


def some_aws_facts(**changes: Any) -> AwsFacts:
    """Return what AWS shows of a guard that is well."""
    facts: dict[str, Any] = {
        "account": ACCOUNT,
        "server": ServerInRds("db-ORDERS", "available", True, ()),
        "proxy": None,
        "stack": a_stack(),
        "responder": a_function(),
        "reporter": a_function(name="guard-reporter", settings=reporter_settings()),
        "heartbeat": NOW - timedelta(minutes=1),
        "alarms": the_alarms(),
        "topics": (
            DeployedTopic(TOPIC, ("on-call@example.com",), ()),
            DeployedTopic(OWN_TOPIC, (f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue",), ()),
        ),
        "queues": (DeadLetterCount(f"{QUEUES}/unreadable", 0),),
        "channels": (),
    }
    return AwsFacts(**(facts | changes))


def a_proxy_in_rds(**changes: Any) -> ProxyInRds:
    """Return a proxy as the stack makes one."""
    facts: dict[str, Any] = {
        "name": "orders-proxy",
        "endpoint": "orders.proxy-c0ffee.eu-central-1.rds.amazonaws.com",
        "status": "available",
        "borrow_timeout": 5,
        "max_connections_percent": 50,
    }
    return ProxyInRds(**(facts | changes))
