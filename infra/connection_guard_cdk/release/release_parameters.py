"""The parameters of a released template. CloudFormation itself refuses a wrong value, with a line
that says what it must be.

The functions' settings are JSON, so that no text may contain a quotation mark or a backslash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

from aws_cdk import CfnParameter, Stack

from connection_guard.adapters.postgresql.names import LONGEST_NAME
from connection_guard.configuration.guard.aws_identifiers import REGION
from connection_guard.configuration.max_connections.bounds import MOST_CONNECTIONS
from connection_guard.configuration.max_connections.estimate import MOST_RESERVED
from connection_guard.core.policy import Policy

WARNING_PERCENT, CRITICAL_PERCENT = 75, 90


@dataclass(frozen=True, slots=True)
class Variant:
    """What a released template is for: an Aurora cluster or else a DB instance, with an RDS Proxy
    in front of it or without one.
    """

    is_cluster: bool
    has_proxy: bool

    @property
    def name(self) -> str:
        kind = "cluster" if self.is_cluster else "instance"
        return f"{kind}-with-proxy" if self.has_proxy else kind


@dataclass(frozen=True, slots=True)
class TemplateParameter:
    """A parameter, which has to be given where it has no default. `must_be` continues the line with
    which a wrong value is refused.
    """

    label: str
    description: str
    type: str = "String"
    default: str | int | None = None
    pattern: str | None = None
    must_be: str | None = None
    least: int | None = None
    most: int | None = None


Groups = Mapping[str, Mapping[str, TemplateParameter]]


def create_parameters(stack: Stack, variant: Variant, policy: Policy) -> dict[str, CfnParameter]:
    """Return the parameters of the stack's template, by their names, and describe the form in which
    the console asks for them.
    """
    groups = _groups(variant, policy)
    stack.template_options.metadata = {"AWS::CloudFormation::Interface": _form(groups)}
    return {
        name: CfnParameter(
            stack,
            name,
            type=parameter.type,
            description=parameter.description,
            default=parameter.default,
            allowed_pattern=parameter.pattern and f"^(?:{parameter.pattern})$",
            constraint_description=parameter.must_be and f"must be {parameter.must_be}",
            min_value=parameter.least,
            max_value=parameter.most,
        )
        for parameters in groups.values()
        for name, parameter in parameters.items()
    }


def _form(groups: Groups) -> dict[str, Any]:
    return {
        "ParameterGroups": [
            {"Label": {"default": group}, "Parameters": list(parameters)}
            for group, parameters in groups.items()
        ],
        "ParameterLabels": {
            name: {"default": parameter.label}
            for parameters in groups.values()
            for name, parameter in parameters.items()
        },
    }


def _groups(variant: Variant, policy: Policy) -> Groups:
    return {
        "Database": _database(variant),
        "Network": _NETWORK,
        **({"RDS Proxy": _PROXY} if variant.has_proxy else {}),
        "People": _PEOPLE,
        "Thresholds": _thresholds(policy),
        "Functions": _FUNCTIONS,
    }


def _endpoint(of: str, kind: str, shown: str) -> TemplateParameter:
    """Return an endpoint: certificates are checked against exactly these names."""
    return TemplateParameter(
        "Endpoint",
        f"The endpoint of the {of}",
        pattern=rf"[a-z][a-z0-9-]*\.{kind}[a-z0-9]+\.{REGION}\.rds\.amazonaws\.com",
        must_be=f"{shown}.REGION.rds.amazonaws.com, without a port",
    )


def _role(label: str, description: str) -> TemplateParameter:
    return TemplateParameter(
        label,
        description,
        default="connection_guard",
        pattern=rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}",
        must_be=f"1 to {LONGEST_NAME} letters, digits, _, - and ., beginning with a letter or _",
    )


def _port(label: str) -> TemplateParameter:
    return TemplateParameter(
        label,
        "The port of the endpoint",
        type="Number",
        default=5432,
        least=1,
        most=65535,
        must_be="a port, 1 to 65535",
    )


def _database(variant: Variant) -> Mapping[str, TemplateParameter]:
    if variant.is_cluster:
        of, prefixes = "DB cluster", "cluster"
        endpoint = _endpoint(of, "cluster-", "the cluster (writer) endpoint, NAME.cluster-xxxx")
    else:
        of, prefixes = "DB instance", "db|cluster"
        endpoint = _endpoint(of, "", "the instance's own endpoint, NAME.xxxx")
    return {
        "DatabaseIdentifier": TemplateParameter(
            "Identifier",
            f"The identifier of the {of}, in lower case",
            pattern="(?!.{64})[a-z][a-z0-9]*(?:-[a-z0-9]+)*",
            must_be="1 to 63 lower-case letters, digits and single -, beginning with a letter",
        ),
        "Endpoint": endpoint,
        "Port": _port("Port"),
        "ResourceId": TemplateParameter(
            "Resource ID",
            f"The resource ID of the {of}: the console shows it under Configuration",
            pattern=f"(?:{prefixes})-[A-Z0-9]+",
            must_be=f"a resource ID, such as {prefixes.partition('|')[0]}-ABCDEFGHIJKLMNOPQRSTUVWX",
        ),
        "UsableConnections": TemplateParameter(
            "Usable connections",
            f"An estimate that is used until the first heartbeat: max_connections, less the "
            f"{MOST_RESERVED} that PostgreSQL and RDS reserve at most",
            type="Number",
            least=1,
            most=MOST_CONNECTIONS,
            must_be="a number of connections",
        ),
        "DatabaseName": TemplateParameter(
            "Database to log in to",
            "It sees the sessions of every database from there",
            default="postgres",
            pattern=rf'(?!(?:template[01]|rdsadmin)$)[^"\\\x00-\x1f]{{1,{LONGEST_NAME}}}',
            must_be="postgres, or one of your own databases",
        ),
        "Role": _role(
            "Role", "The role that the guard logs in as, with IAM tokens: bootstrap.sql creates it"
        ),
    }


_NETWORK = {
    "Vpc": TemplateParameter("VPC", "The VPC of the database", type="AWS::EC2::VPC::Id"),
    "Subnets": TemplateParameter(
        "Subnets",
        "Private subnets of that VPC for the guard: one per availability zone is enough",
        type="List<AWS::EC2::Subnet::Id>",
    ),
    "DatabaseSecurityGroup": TemplateParameter(
        "Security group of the database",
        "One of the database's own: it gets a rule that lets the guard in",
        type="AWS::EC2::SecurityGroup::Id",
    ),
}

_PROXY = {
    "ProxyEndpoint": _endpoint(
        "RDS Proxy in front of the database",
        r"(?:endpoint\.)?proxy-",
        "the proxy's endpoint, NAME.proxy-xxxx",
    ),
    "ProxyPort": _port("Port"),
    "ProxyResourceId": TemplateParameter(
        "Resource ID",
        "The last part of the proxy's ARN",
        pattern="prx-[A-Za-z0-9]+",
        must_be="the last part of the proxy's ARN, such as prx-0123456789abcdef0",
    ),
    "ProxySecurityGroup": TemplateParameter(
        "Security group of the proxy",
        "One of the proxy's own, which may be the database's",
        type="AWS::EC2::SecurityGroup::Id",
    ),
    "ProxyRole": _role(
        "Role",
        "The role through the proxy: the same where the proxy itself logs in with IAM, a second "
        "one where it has a secret",
    ),
}

_PEOPLE = {
    "Email": TemplateParameter(
        "E-mail address",
        "It is notified of incidents; AWS asks it to confirm, twice",
        pattern=r'[^@\s"\\]+@[^@\s"\\]+\.[^@\s."\\]+',
        must_be="an e-mail address",
    ),
    "SlackSecret": TemplateParameter(
        "Slack: name of the secret",
        "In AWS Secrets Manager; empty: Slack is not notified",
        default="",
        pattern=r"(?!xox)[\w/+=.@-]{0,512}",
        must_be="the name of a secret, never its value",
    ),
}


def _thresholds(policy: Policy) -> Mapping[str, TemplateParameter]:
    # An alarm at or below the target that the guard frees slots down to would never clear.
    least = floor(policy.limits.target_percent) + 1

    def percent(tier: str, default: int) -> TemplateParameter:
        return TemplateParameter(
            tier,
            f"Percent of the usable connections at which the tier {tier.lower()} begins",
            type="Number",
            default=max(default, least),
            least=least,
            most=100,
            must_be=f"{least} to 100: the policy's target is {policy.limits.target_percent:g}",
        )

    return {
        "WarningPercent": percent("Warning", WARNING_PERCENT),
        "CriticalPercent": percent("Critical", CRITICAL_PERCENT),
        "WatchFromPercent": TemplateParameter(
            "Keep looking from",
            "Percent from which a heartbeat keeps looking; empty: from Warning on; 0: always",
            default="",
            pattern=r"(?:[0-9]{1,2}|100)?",
            must_be="empty, or 0 to 100",
        ),
    }


_FUNCTIONS = {
    "CodeBucket": TemplateParameter(
        "Bucket",
        "The bucket that holds the functions' zips, in the region of the stack",
        pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        must_be="the name of an S3 bucket",
    ),
    "CodePrefix": TemplateParameter(
        "Prefix",
        "What the keys of the zips begin with in that bucket",
        default="connection-guard/",
        pattern=r"[A-Za-z0-9!_.*'()/-]*/|",
        must_be='empty, or end in "/"',
    ),
}
