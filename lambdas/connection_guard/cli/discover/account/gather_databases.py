"""Ask RDS, EC2 and Secrets Manager about databases: read-only, every list to its last page, and no
call for one database where a list has all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from connection_guard.cli.access.aws_session import missing_permission
from connection_guard.cli.discover.account.discovered import (
    FoundDatabase,
    FoundProxy,
    MissingFact,
    Parameter,
    ParameterGroup,
    Surroundings,
)
from connection_guard.cli.discover.account.read_answers import read_parameter, read_proxy_of_aws
from connection_guard.cli.discover.account.routes import public_among
from connection_guard.configuration.max_connections.classes import KNOWN_CLASSES

# RDS throttles an account as a whole, also for what others ask.
PATIENT = Config(
    connect_timeout=10, read_timeout=30, retries={"mode": "adaptive", "total_max_attempts": 6}
)
_SERVERLESS = "db.serverless"

Answer = Mapping[str, Any]


def gather_databases(session: boto3.Session) -> tuple[list[Answer], list[Answer]]:
    """Return all instances and all clusters, of any engine, as RDS describes them."""
    rds = session.client("rds", config=PATIENT)
    return (
        list(_pages(rds, "describe_db_instances", "DBInstances")),
        list(_pages(rds, "describe_db_clusters", "DBClusters")),
    )


def gather_surroundings(session: boto3.Session, databases: Sequence[FoundDatabase]) -> Surroundings:
    """Return what is around these databases; what a permission is missing for is noted in it."""
    gather = _Gather(session)
    proxies = gather.proxies(databases)
    return Surroundings(
        parameters=gather.parameters({group for each in databases for group in each.groups}),
        proxies=proxies,
        public_subnets=gather.public_subnets(databases),
        memory_gib=gather.memory({each.instance_class for each in databases}),
        missing=tuple(dict.fromkeys(gather.missing)),
    )


class _Gather:
    def __init__(self, session: boto3.Session) -> None:
        self.missing: list[MissingFact] = []
        self._session = session
        self._rds = session.client("rds", config=PATIENT)

    def parameters(
        self, groups: Iterable[ParameterGroup]
    ) -> dict[ParameterGroup, tuple[Parameter, ...]]:
        """Return what each group sets. AWS's own groups set nothing but the default."""
        found: dict[ParameterGroup, tuple[Parameter, ...]] = {}
        for group in sorted(groups, key=lambda each: (each.is_of_cluster, each.name)):
            if group.name.startswith("default."):
                found[group] = ()
                continue
            operation, name = (
                ("describe_db_cluster_parameters", "DBClusterParameterGroupName")
                if group.is_of_cluster
                else ("describe_db_parameters", "DBParameterGroupName")
            )
            answers = self._all(
                "max_connections and what waits for a reboot",
                _pages(self._rds, operation, "Parameters", **{name: group.name}, Source="user"),
            )
            if answers is not None:
                found[group] = tuple(each for answer in answers if (each := read_parameter(answer)))
        return found

    def proxies(self, databases: Sequence[FoundDatabase]) -> tuple[FoundProxy, ...] | None:
        """Return the proxies that have one of the databases as target."""
        wanted = {(each.kind, each.identifier) for each in databases}
        vpcs = {each.vpc for each in databases}
        answers = self._all("proxies", _pages(self._rds, "describe_db_proxies", "DBProxies"))
        if answers is None:
            return None
        found = []
        for answer in answers:
            is_ready = answer.get("Endpoint") and answer.get("Status") != "deleting"
            is_ours = answer.get("EngineFamily") == "POSTGRESQL" and answer.get("VpcId") in vpcs
            if not (is_ready and is_ours):
                continue
            name = {"DBProxyName": answer["DBProxyName"]}
            targets = self._all(
                "proxies", _pages(self._rds, "describe_db_proxy_targets", "Targets", **name)
            )
            if targets is None:
                return None
            if not read_proxy_of_aws(answer, targets, None, {}).targets & wanted:
                continue
            groups = self._all(
                "the borrow timeout of proxies",
                _pages(self._rds, "describe_db_proxy_target_groups", "TargetGroups", **name),
            )
            found.append((answer, targets, groups))
        secrets = self._secrets([answer for answer, *_ in found])
        return tuple(
            read_proxy_of_aws(answer, targets, groups, secrets) for answer, targets, groups in found
        )

    def public_subnets(self, databases: Sequence[FoundDatabase]) -> frozenset[str] | None:
        """Return the subnets that route to an internet gateway."""
        ec2 = self._session.client("ec2", config=PATIENT)
        tables = self._all(
            "which subnets are private",
            _pages(
                ec2,
                "describe_route_tables",
                "RouteTables",
                Filters=[{"Name": "vpc-id", "Values": sorted({each.vpc for each in databases})}],
            ),
        )
        if tables is None:
            return None
        subnets = {(each.vpc, subnet.identifier) for each in databases for subnet in each.subnets}
        return public_among(subnets, tables)

    def memory(self, classes: set[str]) -> dict[str, float]:
        """Return the memory of those classes that the guard does not know, in GiB."""
        names = sorted(each.removeprefix("db.") for each in classes - {*KNOWN_CLASSES, _SERVERLESS})
        if not names:
            return {}
        ec2 = self._session.client("ec2", config=PATIENT)
        # A filter, because a name that EC2 does not know fails a whole request by InstanceTypes.
        types = self._all(
            f"the memory of {', '.join(f'db.{name}' for name in names)}",
            _pages(
                ec2,
                "describe_instance_types",
                "InstanceTypes",
                Filters=[{"Name": "instance-type", "Values": names}],
            ),
        )
        return {
            f"db.{each['InstanceType']}": each["MemoryInfo"]["SizeInMiB"] / 1024
            for each in types or []
        }

    def _secrets(self, proxies: Sequence[Answer]) -> Mapping[str, Answer]:
        """Return what describes each secret, never its value, where RDS does not name its user."""
        logins = [login for proxy in proxies for login in proxy.get("Auth", [])]
        if not any(login.get("SecretArn") and not login.get("UserName") for login in logins):
            return {}
        client = self._session.client("secretsmanager", config=PATIENT)
        secrets = self._all(
            "whose secrets the proxies log in with", _pages(client, "list_secrets", "SecretList")
        )
        return {str(each.get("ARN")): each for each in secrets or []}

    def _all(self, fact: str, answers: Iterator[Answer]) -> list[Answer] | None:
        """Return the answers, None where the permission to ask is missing, which is noted."""
        try:
            return list(answers)
        except ClientError as error:
            if (action := missing_permission(error)) is None:
                raise
            self.missing.append(MissingFact(action, fact))
            return None


def _pages(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Answer]:
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])
