"""Builders of services for the arithmetic: a test names what it is about."""

from typing import Any

from connection_guard.core.budget.service import DeclaredService, Service


def a_service(name: str = "api", **changes: Any) -> Service:
    """Return a service with one process and a pool of 10."""
    facts: dict[str, Any] = {
        "name": name,
        "place": f"{name}.yaml:1",
        "replicas": 1,
        "surge": 0,
        "processes": 1,
        "pool_size": 10,
    }
    return Service(**(facts | changes))


def a_declaration(name: str = "api", **changes: Any) -> DeclaredService:
    """Return a declaration that says nothing but its name."""
    facts: dict[str, Any] = {
        "name": name,
        "place": "guard.toml: services[0]",
        "database": None,
        "replicas": None,
        "maximum_replicas": None,
        "surge": None,
        "processes": None,
        "pool_size": None,
        "overflow": None,
        "is_proxy": False,
        "application": None,
    }
    return DeclaredService(**(facts | changes))
