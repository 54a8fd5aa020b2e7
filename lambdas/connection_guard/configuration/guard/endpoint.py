"""Read the endpoint of a database or a proxy."""

import re
from collections.abc import Mapping
from typing import Any

from connection_guard.configuration.guard.aws_identifiers import (
    EMULATED_ACCOUNT,
    REGION,
)
from connection_guard.configuration.toml.readers import (
    MistakeError,
    Reader,
    given,
)

# Certificates are checked against exactly these names, so an alias would not do.
_ENDPOINT = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)\.(?:endpoint\.)?"
    r"(?:(?P<kind>cluster|cluster-ro|cluster-custom|proxy)-)?[a-z0-9]+\."
    rf"(?P<region>{REGION})\.rds\.amazonaws\.com"
)
_SHAPES = {
    "instance": "NAME.xxxx.REGION.rds.amazonaws.com",
    "cluster": "NAME.cluster-xxxx.REGION.rds.amazonaws.com",
    "proxy": "NAME.proxy-xxxx.REGION.rds.amazonaws.com",
}
_OTHERS_BEHIND_A_CLUSTER = (
    "is a cluster's endpoint: after a failover the guard would reach a different server from "
    "the one that the alarms watch; write cluster = instead of instance =, or the instance's own "
    f"endpoint, {_SHAPES['instance']}"
)
_READERS_BEHIND = (
    f"but the guard must reach the writer; write the cluster endpoint, {_SHAPES['cluster']}"
)
_WRONG_KINDS = {
    ("instance", "cluster"): _OTHERS_BEHIND_A_CLUSTER,
    ("instance", "cluster-ro"): _OTHERS_BEHIND_A_CLUSTER,
    ("instance", "cluster-custom"): _OTHERS_BEHIND_A_CLUSTER,
    ("cluster", "instance"): f"is one instance's endpoint, {_READERS_BEHIND}",
    ("cluster", "cluster-ro"): f"is the reader endpoint, {_READERS_BEHIND}",
    ("cluster", "cluster-custom"): f"is a custom endpoint, {_READERS_BEHIND}",
}


def endpoint(of: str, name: str | None, deploy: Mapping[str, Any]) -> Reader[tuple[str, int]]:
    """Return a reader of "host" or "host:port" of an "instance", a "cluster" or a "proxy".

    It must be that of the identifier `name`, unless that is None, and be in the region of `deploy`,
    unless that is missing. Behind an emulator of AWS the databases are on this machine: then
    "localhost" passes for any.
    """
    region = deploy.get("region")

    def read(value: object) -> tuple[str, int]:
        host, port = _host_and_port(value, of)
        if host == "localhost" and deploy.get("account") == EMULATED_ACCOUNT:
            return host, port
        match = _ENDPOINT.fullmatch(host)
        if match is None:
            raise MistakeError(
                f"{given(host)} is not an endpoint of RDS; write the name that the console shows, "
                f"{_SHAPES[of]}, because the certificate is checked against it"
            )
        found = match["kind"] or "instance"
        if wrong := _wrong_kind(of, found):
            raise MistakeError(f"{given(host)} {wrong}")
        mistakes = []
        if name is not None and match["name"] != name:
            mistakes.append(
                f"{given(host)} does not begin with {given(name)}, so it belongs to another "
                "database; correct one of them"
            )
        if region is not None and match["region"] != region:
            mistakes.append(
                f"{given(host)} is in {match['region']}, but deploy.region is {region}; correct "
                "one of them"
            )
        if mistakes:
            raise MistakeError(*mistakes)
        return host, port

    return read


def _host_and_port(value: object, of: str) -> tuple[str, int]:
    if not isinstance(value, str):
        raise MistakeError(f"{given(value)} is not an endpoint; write {_SHAPES[of]}")
    if "@" in value or "/" in value:
        raise MistakeError(
            "this value (not shown, it may contain a password) is a URL, not an endpoint; write "
            f"{_SHAPES[of]}"
        )
    host, _, port = value.partition(":")
    if ":" in value and not (
        re.fullmatch("[0-9]{1,5}", port, re.ASCII) and 1 <= int(port) <= 65535
    ):
        raise MistakeError(
            f"{given(value)} does not end in a valid port; write a number from 1 to 65535 after "
            "the colon, or leave both out for 5432"
        )
    return host.lower(), int(port or 5432)


def _wrong_kind(wanted: str, found: str) -> str | None:
    if wanted == "proxy" and found != "proxy":
        return f"is not an RDS Proxy's endpoint; write the proxy's own, {_SHAPES['proxy']}"
    if wanted != "proxy" and found == "proxy":
        return (
            "is an RDS Proxy's endpoint, which belongs under [databases.proxy]; write the "
            f"{wanted}'s own endpoint here"
        )
    return _WRONG_KINDS.get((wanted, found))
