"""Builders of configurations: a test names what it is about, the rest is an instance without a
proxy.
"""

from pathlib import Path
from typing import Any

from connection_guard.configuration.guard.guard_configuration import (
    Architecture,
    Configuration,
    Database,
    ExistingProxy,
    Network,
    NewProxy,
    Notifications,
    ProxyAuthentication,
    Synthesizer,
    Target,
)
from connection_guard.configuration.max_connections.estimate import Estimate
from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY, parse_policy
from connection_guard.core.policy import Policy

ACCOUNT = "123456789012"
REGION = "eu-central-1"
EXAMPLE_FILE = Path(__file__).parents[2] / "examples" / "guard.toml"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:orders/guard-a1B2c3"


def the_shipped_policy() -> Policy:
    """Return the policy that observes at warning and enforces at critical."""
    return parse_policy(SHIPPED_POLICY.read_text())


def a_database(**changes: Any) -> Database:
    """Return the DB instance "orders", whose clients can get at least 70 connections."""
    facts: dict[str, Any] = {
        "identifier": "orders",
        "is_cluster": False,
        "database_name": "postgres",
        "host": "orders.c0ffee.eu-central-1.rds.amazonaws.com",
        "port": 5432,
        "resource_id": "db-ORDERS",
        "max_connections": Estimate(79, "max_connections is estimated, at 79.", 70),
        "network": Network(
            "vpc-00000000000000001",
            ("subnet-00000000000000001", "subnet-00000000000000002"),
            ("eu-central-1a", "eu-central-1b"),
        ),
        "security_groups": ("sg-000000000000000db",),
        "proxy": None,
        "role": "connection_guard",
        "policy_file": SHIPPED_POLICY,
        "policy": the_shipped_policy(),
        "warning_percent": 75.0,
        "critical_percent": 90.0,
        "watch_from_percent": 75.0,
        "owner": None,
        "runbook": None,
        "environment": None,
        "slack_channel": None,
    }
    return Database(**(facts | changes))


def a_cluster(**changes: Any) -> Database:
    """Return the Aurora cluster "orders"."""
    facts: dict[str, Any] = {
        "is_cluster": True,
        "host": "orders.cluster-c0ffee.eu-central-1.rds.amazonaws.com",
        "resource_id": "cluster-ORDERS",
    }
    return a_database(**(facts | changes))


def an_existing_proxy(**changes: Any) -> ExistingProxy:
    """Return a proxy with end-to-end IAM authentication."""
    facts: dict[str, Any] = {
        "host": "orders.proxy-c0ffee.eu-central-1.rds.amazonaws.com",
        "port": 5432,
        "resource_id": "prx-ORDERS",
        "security_groups": ("sg-000000000000000fa",),
        "authentication": ProxyAuthentication.IAM,
        "role": "connection_guard",
    }
    return ExistingProxy(**(facts | changes))


def a_new_proxy(
    authentication: ProxyAuthentication = ProxyAuthentication.IAM, **changes: Any
) -> NewProxy:
    """Return a proxy for the stack to create; with secrets it has its own role, which logs in with
    a password.
    """
    facts: dict[str, Any] = {"role": "connection_guard", "secret": None, "secret_key": None}
    if authentication is ProxyAuthentication.SECRETS:
        facts |= {"role": "connection_guard_proxy", "secret": SECRET}
    return NewProxy(authentication, **(facts | changes))


def a_target(**changes: Any) -> Target:
    """Return an account in Frankfurt."""
    facts: dict[str, Any] = {
        "stack_name": "connection-guard",
        "account": ACCOUNT,
        "region": REGION,
        "architecture": Architecture.ARM64,
        "synthesizer": Synthesizer.BOOTSTRAP_ROLES,
        "tags": {},
        "kms_key": None,
    }
    return Target(**(facts | changes))


def notifications(**changes: Any) -> Notifications:
    """Return an address, and no other channel."""
    facts: dict[str, Any] = {
        "emails": ("on-call@example.com",),
        "slack_secret": None,
        "pagerduty_secret": None,
        "teams_secret": None,
        "event_bus": None,
        "deployments": True,
    }
    return Notifications(**(facts | changes))


def a_configuration(*databases: Database, **changes: Any) -> Configuration:
    """Return a configuration of these databases, or of one."""
    facts: dict[str, Any] = {
        "target": a_target(),
        "notifications": notifications(),
        "databases": databases or (a_database(),),
        "application_owners": (),
        "services": (),
    }
    return Configuration(**(facts | changes))
