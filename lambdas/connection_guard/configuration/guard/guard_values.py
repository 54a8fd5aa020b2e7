"""The values of guard.toml: each reader gives one typed, or says what is wrong with it and what
would be right.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from connection_guard.adapters.postgresql.names import LONGEST_NAME
from connection_guard.adapters.postgresql.roles import AMAZON_ROLES
from connection_guard.configuration.policy import values
from connection_guard.configuration.policy.values import MistakeError, Reader, shown

T = TypeVar("T")

_REGION = r"[a-z]{2}(?:-[a-z]+)+-[0-9]"
EXAMPLE_REGION = "eu-central-1"


def matching(shape: str, what: str, advice: str) -> Reader[str]:
    """Reads text of one shape; `what` names it in messages, `advice` says what to write."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(shape, value, re.ASCII):
            raise MistakeError(f"{shown(value)} is not {what}; write {advice}")
        return value

    return read


def unique(read_one: Reader[T]) -> Reader[tuple[T, ...]]:
    """Reads a list of different items."""
    read_list = values.list_of(read_one)

    def read(value: object) -> tuple[T, ...]:
        items = read_list(value)
        repeated = dict.fromkeys(item for place, item in enumerate(items) if item in items[:place])
        if repeated:
            raise MistakeError(
                *(f"{shown(item)} stands here twice; remove one" for item in repeated)
            )
        return items

    return read


def one_to(most: int, read_one: Reader[T], advice: str) -> Reader[tuple[T, ...]]:
    """Reads a list of different items, at least one; `advice` says what to do where there are more
    than `most`.
    """
    read_list = unique(read_one)

    def read(value: object) -> tuple[T, ...]:
        if value == []:
            raise MistakeError("[] is empty; name at least one")
        items = read_list(value)
        if len(items) > most:
            raise MistakeError(f"{len(items)} are named, {advice}")
        return items

    return read


def misplaced(why: str) -> Reader[None]:
    """Refuses a key that has no meaning beside another."""

    def read(_: object) -> None:
        raise MistakeError(f"{why}; leave it out")

    return read


def anything(value: object) -> object:
    return value


# Where the stack goes


def account(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise MistakeError(
            f"{shown(value)} is a number, and an account may begin with 0; write it in double "
            "quotes"
        )
    return matching(r"[0-9]{12}", "an AWS account", 'its twelve digits, such as "123456789012"')(
        value
    )


stack_name = matching(
    r"[A-Za-z][A-Za-z0-9-]{0,127}",
    "a stack's name",
    'letters, digits and "-", beginning with a letter, such as "ConnectionGuard"',
)
_any_region = matching(_REGION, "an AWS region", f'one such as "{EXAMPLE_REGION}"')


@cache
def _regions_of_rds() -> tuple[str, ...]:
    """Return AWS's commercial regions, as its own SDK ships them: nobody is asked."""
    return tuple(EndpointResolver(Loader().load_data("endpoints")).get_available_endpoints("rds"))


def region(value: object) -> str:
    name = _any_region(value)
    if name.startswith(("cn-", "us-gov-")):
        raise MistakeError(
            f"{shown(name)} has certificate authorities of its own, which the responder does not "
            "know: the guard works in AWS's commercial regions only"
        )
    if name not in _regions_of_rds():
        hint = values.did_you_mean(name, _regions_of_rds()) or "; correct it"
        raise MistakeError(
            f"{shown(name)} is no region that boto3 knows RDS in{hint} (if it is new, raise boto3 "
            "in requirements.txt)"
        )
    return name


MOST_TAGS = 49  # CloudFormation takes 50 for a stack, and one is the guard's own


def tags(value: object) -> dict[str, str]:
    """Read what CloudFormation puts on everything that it creates.

    IAM takes upper and lower case of a tag's key for the same: API reference, Tag.
    """
    if not isinstance(value, dict):
        raise MistakeError(
            f'{shown(value)} is not a table of tags; write one such as {{ team = "platform" }}'
        )
    if len(value) > MOST_TAGS:
        raise MistakeError(
            f"{len(value)} are more tags than CloudFormation takes; write at most {MOST_TAGS}"
        )
    mistakes = [wrong for key, text in value.items() if (wrong := _wrong_tag(key, text))]
    keys = [key.lower() for key in value]
    mistakes += [
        f"{shown(key)} is there twice; remove one"
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    if mistakes:
        raise MistakeError(*mistakes)
    return value


def _wrong_tag(key: str, value: object) -> str | None:
    if not re.fullmatch(r"(?!(?i:aws):)[\w .:/=+@-]{1,128}", key):
        return (
            f"{shown(key)} is not a tag's key; write at most 128 letters, digits, spaces and "
            '_.:/=+@-, not "aws:..."'
        )
    if not isinstance(value, str) or not re.fullmatch(r"[\w .:/=+@-]{1,256}", value):
        return (
            f"{shown(key)}: {shown(value)} is not a tag's value; write 1 to 256 letters, digits, "
            "spaces and _.:/=+@-"
        )
    return None


# Who is told. Whatever stands where the name of a secret belongs may be the secret itself, and is
# never shown.

_SLACK_SECRET = re.compile(
    r"(?i:xox[a-z]?[-.][\w.-]*|xapp-[0-9][\w-]*|(?:https?://)?hooks\.slack[^\s\"]*)|T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/\w+",
    re.ASCII,
)


def slack_secret(value: object) -> str:
    example = (
        "write the name of the secret in AWS Secrets Manager that holds it, such as "
        '"connection-guard/slack"'
    )
    if isinstance(value, str) and _SLACK_SECRET.match(value):
        raise MistakeError(
            f"what stands here looks like Slack's token or webhook itself; revoke it, and {example}"
        )
    if not isinstance(value, str) or not re.fullmatch(r"[\w/+=.@-]{1,512}", value, re.ASCII):
        raise MistakeError(
            f"what stands here (not shown, it may be a secret itself) is not a name; {example}"
        )
    return value


def without_slack_secrets(line: str) -> str:
    """The line with Slack's tokens and webhooks blotted out, under whatever key somebody pasted
    them.
    """
    return _SLACK_SECRET.sub("(a Slack secret, not shown)", line)


email = matching(
    r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an e-mail address", 'one such as "platform@example.com"'
)


# The database


def path(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise MistakeError(
            f'{shown(value)} is not the path of a file; write one such as "policy.toml"'
        )
    return value


def identifier(value: object) -> str:
    """RDS keeps it in lower case, and CloudWatch's dimension is what RDS keeps.

    Amazon RDS API Reference, CreateDBInstance and CreateDBCluster.
    """
    written = matching(
        r"(?!.{64})[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*",
        "an RDS identifier",
        '1 to 63 letters, digits and single "-", beginning with a letter, such as "orders"',
    )(value)
    return written.lower()


_UNFIT_DATABASES = {
    "template0": "takes no connections",
    "template1": "cannot be copied, as CREATE DATABASE does, while the guard keeps a session in it",
    "rdsadmin": "belongs to Amazon",
}


def database_name(value: object) -> str:
    name = values.name(value)
    if unfit := _UNFIT_DATABASES.get(name):
        raise MistakeError(f'{shown(name)} {unfit}; write "postgres", or one of your own databases')
    if len(name.encode()) > LONGEST_NAME:
        raise MistakeError(
            f"{shown(name)} has more than the {LONGEST_NAME} bytes that PostgreSQL keeps; shorten "
            "it"
        )
    return name


# In the ARN by which IAM lets a role log in, "*" and "?" would let others in as well, and "$"
# begins a variable.
_role = matching(
    rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}",
    "a role's name",
    f'at most {LONGEST_NAME} letters, digits, "_", "-" and ".", beginning with a letter or "_"',
)
_TAKEN_ROLES = {
    "pg_.*|public|none": "belongs to PostgreSQL",
    f"rds_.*|rdstopmgr|{'|'.join(AMAZON_ROLES)}": "belongs to Amazon",
    "postgres": "is the master user, who may do more than the guard should",
    "connection_guard_paused": "is the role that pauses the guard",
}


def role(value: object) -> str:
    name = _role(value)
    for names, whose in _TAKEN_ROLES.items():
        if re.fullmatch(names, name):
            raise MistakeError(
                f"{shown(name)} {whose}; write a role of the guard's own, such as "
                f'"connection_guard"'
            )
    return name


def same_role(database_role: str | None) -> Reader[str]:
    """Reads the role of a proxy with end-to-end IAM authentication; any passes where the database's
    is None.
    """

    def read(value: object) -> str:
        name = role(value)
        if database_role is not None and name != database_role:
            raise MistakeError(
                f"{shown(name)} is not the database's role, {shown(database_role)}, and with "
                "end-to-end IAM authentication one role serves both doors; leave it out, or write "
                "it above [databases.proxy]"
            )
        return name

    return read


def other_role(database_role: str | None) -> Reader[str]:
    """Reads the role of a proxy that logs in with a secret."""

    def read(value: object) -> str:
        name = role(value)
        if name == database_role:
            raise MistakeError(
                f"{shown(name)} is the database's role as well, and rds_iam, by which that logs in "
                "with a token, rules out the password that the proxy has; write a second role, "
                "such as "
                '"connection_guard_proxy"'
            )
        return name

    return read


instance_class = matching(r"db(\.[a-z0-9-]+)+", "a DB instance class", 'one such as "db.r6g.large"')


def expression(value: object) -> str | int:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise MistakeError(
            f"{shown(value)} is neither a whole number nor text; write what the parameter group "
            "says, such as 200 or "
            '"LEAST({DBInstanceClassMemory/9531392},5000)"'
        )
    return value


def memory(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.5 <= value <= 65_536:
        raise MistakeError(f"{shown(value)} is not a memory in GiB; write the class's, such as 16")
    return float(value)


def capacity(value: object) -> float:
    """Whether Aurora takes it is for estimate_serverless to say."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MistakeError(
            f"{shown(value)} is not a number; write Aurora capacity units without quotes, such as 8"
        )
    return value


def resource_id(*prefixes: str) -> Reader[str]:
    """What IAM knows a server by, which is not its identifier: one that begins with any of the
    prefixes.

    Amazon RDS User Guide, "Creating and using an IAM policy for IAM database access": of an Aurora
    instance it is the cluster's.
    """
    examples = " or ".join(f'"{prefix}-ABCDEFGHIJKLMNOPQRSTUVWXYZ"' for prefix in prefixes)
    advice = f"the one that the console shows under Configuration, such as {examples}"
    return matching(rf"(?:{'|'.join(prefixes)})-[A-Z0-9]+", "a resource id", advice)


proxy_resource_id = matching(
    "prx-[A-Za-z0-9]+",
    "a proxy's resource id",
    'the last part of its ARN, such as "prx-0123456789abcdef0"',
)


# Endpoints. Certificates are checked against exactly these names, so that an alias of one would not
# do.

_ENDPOINT = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)\.(?:endpoint\.)?"
    r"(?:(?P<kind>cluster|cluster-ro|cluster-custom|proxy)-)?[a-z0-9]+\."
    rf"(?P<region>{_REGION})\.rds\.amazonaws\.com"
)
_SHAPES = {
    "instance": "NAME.xxxx.REGION.rds.amazonaws.com",
    "cluster": "NAME.cluster-xxxx.REGION.rds.amazonaws.com",
    "proxy": "NAME.proxy-xxxx.REGION.rds.amazonaws.com",
}
_OTHERS_BEHIND_A_CLUSTER = (
    "is a cluster's endpoint, and after a failover an instance's alarm would watch another server "
    "than it reaches; write cluster = in place of instance =, or the instance's own endpoint, "
    f"{_SHAPES['instance']}"
)
_READERS_BEHIND = (
    f"and the guard must reach the writer; write the cluster endpoint, {_SHAPES['cluster']}"
)
_WRONG_KINDS = {
    ("instance", "cluster"): _OTHERS_BEHIND_A_CLUSTER,
    ("instance", "cluster-ro"): _OTHERS_BEHIND_A_CLUSTER,
    ("instance", "cluster-custom"): _OTHERS_BEHIND_A_CLUSTER,
    ("cluster", "instance"): f"is one instance's endpoint, {_READERS_BEHIND}",
    ("cluster", "cluster-ro"): f"is the reader endpoint, {_READERS_BEHIND}",
    ("cluster", "cluster-custom"): f"is a custom endpoint, {_READERS_BEHIND}",
}


EMULATED_ACCOUNT = "000000000000"  # AWS gives it to nobody; its emulators go by it


def endpoint(of: str, name: str | None, deploy: Mapping[str, Any]) -> Reader[tuple[str, int]]:
    """Read "host" or "host:port" of an "instance", a "cluster" or a "proxy".

    It must be that of the identifier `name`, unless that is None, and lie in the region of
    `deploy`, unless that is missing. Behind an emulator of AWS the databases are on this machine:
    then "localhost" passes for any.
    """
    region = deploy.get("region")

    def read(value: object) -> tuple[str, int]:
        host, port = _host_and_port(value, of)
        if host == "localhost" and deploy.get("account") == EMULATED_ACCOUNT:
            return host, port
        match = _ENDPOINT.fullmatch(host)
        if match is None:
            raise MistakeError(
                f"{shown(host)} is not an endpoint of RDS; write the name that the console shows, "
                f"{_SHAPES[of]}, since the certificate is checked against it"
            )
        found = match["kind"] or "instance"
        if wrong := _wrong_kind(of, found):
            raise MistakeError(f"{shown(host)} {wrong}")
        mistakes = []
        if name is not None and match["name"] != name:
            mistakes.append(
                f"{shown(host)} is not that of {shown(name)}, with which it would begin; correct "
                "either"
            )
        if region is not None and match["region"] != region:
            mistakes.append(
                f"{shown(host)} lies in {match['region']}, and deploy.region is {region}; correct "
                "either"
            )
        if mistakes:
            raise MistakeError(*mistakes)
        return host, port

    return read


def _host_and_port(value: object, of: str) -> tuple[str, int]:
    if not isinstance(value, str):
        raise MistakeError(f"{shown(value)} is not an endpoint; write {_SHAPES[of]}")
    if "@" in value or "/" in value:
        raise MistakeError(
            "what stands here (not shown, it may hold a password) is not an endpoint but a URL; "
            f"write {_SHAPES[of]}"
        )
    host, _, port = value.partition(":")
    if ":" in value and not (
        re.fullmatch("[0-9]{1,5}", port, re.ASCII) and 1 <= int(port) <= 65535
    ):
        raise MistakeError(
            f"{shown(value)} ends in no port; write a number from 1 to 65535, or leave it out for "
            "5432"
        )
    return host.lower(), int(port or 5432)


def _wrong_kind(wanted: str, found: str) -> str | None:
    if wanted == "proxy" and found != "proxy":
        return f"is not an RDS Proxy's endpoint; write that, {_SHAPES['proxy']}"
    if wanted != "proxy" and found == "proxy":
        return (
            "is an RDS Proxy's endpoint, which belongs under [databases.proxy]; write the "
            f"{wanted}'s own here"
        )
    return _WRONG_KINDS.get((wanted, found))


# Its network


def _id(prefix: str, what: str) -> Reader[str]:
    return matching(
        rf"{prefix}-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})",
        what,
        f'its id, such as "{prefix}-0123456789abcdef0"',
    )


vpc = _id("vpc", "a VPC")
# AWS Lambda API Reference, VpcConfig.
subnets = one_to(
    16,
    _id("subnet", "a subnet"),
    "and Lambda takes 16; name the two or three that the guard may use",
)
# Amazon RDS User Guide, "Quotas and constraints for Amazon RDS".
security_groups = one_to(
    5,
    _id("sg", "a security group"),
    "and RDS takes 5; name one of its own, which is enough to let the guard in",
)


def availability_zone(region: str | None) -> Reader[str]:
    advice = f'its name, such as "{region or EXAMPLE_REGION}a"'
    return matching(
        f"{re.escape(region) if region else _REGION}[a-z]",
        f"an availability zone of {region or 'AWS'}",
        advice,
    )


# What RDS Proxy logs in with


def example_secret(region: str | None) -> str:
    return f"arn:aws:secretsmanager:{region or EXAMPLE_REGION}:123456789012:secret:NAME-AbCdEf"


def secret_arn(region: str | None) -> Reader[str]:
    """A whole ARN, with the six characters that AWS Secrets Manager adds to the name."""
    shape = (
        rf"arn:aws:secretsmanager:{re.escape(region) if region else _REGION}:[0-9]{{12}}:secret:"
    )

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(
            shape + r"[\w/+=.@!-]+-[A-Za-z0-9]{6}", value, re.ASCII
        ):
            raise MistakeError(
                "what stands here (not shown, it may be a password) is not the ARN of a secret in "
                f"{region or 'AWS Secrets Manager'}; write one such as "
                f"{shown(example_secret(region))}"
            )
        if ":secret:rds!" in value:
            raise MistakeError(
                "RDS keeps the master user's password there; write the ARN of a secret of the "
                "role's own"
            )
        return value

    return read


def key_arn(region: str | None) -> Reader[str]:
    shape = rf"arn:aws:kms:{re.escape(region) if region else _REGION}:[0-9]{{12}}:key/[A-Za-z0-9-]+"
    example = (
        f'"arn:aws:kms:{region or EXAMPLE_REGION}:123456789012:key/'
        '01234567-89ab-cdef-0123-456789abcdef"'
    )
    return matching(
        shape,
        f"the ARN of a KMS key in {region or 'AWS'}",
        f"one such as {example}, never an alias",
    )
