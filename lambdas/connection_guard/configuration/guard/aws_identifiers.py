"""Read AWS's own names of things: accounts, regions, tags, ARNs and IDs."""

import re
from functools import cache

from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from connection_guard.configuration.toml.readers import (
    MistakeError,
    Reader,
    did_you_mean,
    given,
    matching,
    one_to,
)

REGION = r"[a-z]{2}(?:-[a-z]+)+-[0-9]"
EXAMPLE_REGION = "eu-central-1"
EMULATED_ACCOUNT = "000000000000"  # AWS gives it to nobody; its emulators use it
MOST_TAGS = 49  # CloudFormation takes 50 for a stack, and one is the guard's own


def account(value: object) -> str:
    """Read the ID of an AWS account."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise MistakeError(
            f"{given(value)} is a number, and an account may begin with 0; write it in double "
            "quotes"
        )
    return _account(value)


_account = matching("[0-9]{12}", "an AWS account ID", 'its twelve digits, such as "123456789012"')


stack_name = matching(
    r"[A-Za-z][A-Za-z0-9-]{0,127}",
    "a stack name",
    'letters, digits and "-", beginning with a letter, such as "ConnectionGuard"',
)
_any_region = matching(REGION, "an AWS region", f'one such as "{EXAMPLE_REGION}"')


@cache
def _regions_of_rds() -> tuple[str, ...]:
    """Return AWS's commercial regions from the data of its own SDK, without a request."""
    return tuple(EndpointResolver(Loader().load_data("endpoints")).get_available_endpoints("rds"))


def region(value: object) -> str:
    """Read one of AWS's commercial regions."""
    name = _any_region(value)
    if name.startswith(("cn-", "us-gov-")):
        raise MistakeError(
            f"{given(name)} has its own certificate authorities, which the responder does not "
            "know; write one of AWS's commercial regions, the only ones that the guard works in"
        )
    if name not in _regions_of_rds():
        hint = did_you_mean(name, _regions_of_rds()) or "; correct it"
        raise MistakeError(
            f"{given(name)} is not a region in which boto3 knows RDS{hint} (if it is new, update "
            "boto3 in requirements.txt)"
        )
    return name


def tags(value: object) -> dict[str, str]:
    """Read the tags that CloudFormation puts on everything that it creates.

    IAM does not distinguish upper and lower case in a tag's key (API reference, Tag).
    """
    if not isinstance(value, dict):
        raise MistakeError(
            f'{given(value)} is not a table of tags; write one such as {{ team = "platform" }}'
        )
    if len(value) > MOST_TAGS:
        raise MistakeError(
            f"{len(value)} tags are more than CloudFormation takes; write at most {MOST_TAGS}"
        )
    mistakes = [wrong for key, text in value.items() if (wrong := _wrong_tag(key, text))]
    keys = [key.lower() for key in value]
    mistakes += [
        f"{given(key)} occurs twice, since upper and lower case are the same here; remove one"
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    if mistakes:
        raise MistakeError(*mistakes)
    return value


def _wrong_tag(key: str, value: object) -> str | None:
    if not re.fullmatch(r"(?!(?i:aws):)[\w .:/=+@-]{1,128}", key):
        return (
            f"{given(key)} is not the key of a tag; write 1 to 128 letters, digits, spaces and "
            '_.:/=+@-, not beginning with "aws:"'
        )
    if not isinstance(value, str) or not re.fullmatch(r"[\w .:/=+@-]{1,256}", value):
        return (
            f"{given(key)}: {given(value)} is not the value of a tag; write 1 to 256 letters, "
            "digits, spaces and _.:/=+@-"
        )
    return None


def resource_id(*prefixes: str) -> Reader[str]:
    """Return a reader of the name that IAM has for a server, which is not its identifier and begins
    with one of the prefixes.

    An Aurora instance has that of its cluster (Amazon RDS User Guide, "Creating and using an IAM
    policy for IAM database access").
    """
    examples = " or ".join(f'"{prefix}-ABCDEFGHIJKLMNOPQRSTUVWXYZ"' for prefix in prefixes)
    advice = f"the one that the console shows under Configuration, such as {examples}"
    return matching(rf"(?:{'|'.join(prefixes)})-[A-Z0-9]+", "a resource ID", advice)


proxy_resource_id = matching(
    "prx-[A-Za-z0-9]+",
    "the resource ID of a proxy",
    'the last part of its ARN, such as "prx-0123456789abcdef0"',
)


def _id(prefix: str, what: str) -> Reader[str]:
    return matching(
        rf"{prefix}-(?:[0-9a-f]{{8}}|[0-9a-f]{{17}})",
        what,
        f'its ID, such as "{prefix}-0123456789abcdef0"',
    )


vpc = _id("vpc", "a VPC")
MOST_SUBNETS = 16  # AWS Lambda API Reference, VpcConfig
subnets = one_to(
    MOST_SUBNETS,
    _id("subnet", "a subnet"),
    f"and Lambda takes at most {MOST_SUBNETS}; list only the two or three that the guard may use",
)
# Amazon RDS User Guide, "Quotas and constraints for Amazon RDS".
security_groups = one_to(
    5,
    _id("sg", "a security group"),
    "and RDS takes at most 5; list one of its own, which is enough to let the guard in",
)


def availability_zone(region: str | None) -> Reader[str]:
    """Return a reader of the name of a zone in the region, or in any where that is None."""
    advice = f'its name, such as "{region or EXAMPLE_REGION}a"'
    return matching(
        f"{re.escape(region) if region else REGION}[a-z]",
        f"an availability zone of {region or 'AWS'}",
        advice,
    )


def example_secret(region: str | None) -> str:
    """Return the ARN of a secret as a message shows one."""
    return f"arn:aws:secretsmanager:{region or EXAMPLE_REGION}:123456789012:secret:NAME-AbCdEf"


def secret_arn(region: str | None) -> Reader[str]:
    """Return a reader of whole ARNs, with the six characters that AWS Secrets Manager appends."""
    shape = rf"arn:aws:secretsmanager:{re.escape(region) if region else REGION}:[0-9]{{12}}:secret:"

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(
            shape + r"[\w/+=.@!-]+-[A-Za-z0-9]{6}", value, re.ASCII
        ):
            raise MistakeError(
                "this value (not shown, it may be a password) is not the ARN of a secret in "
                f"{region or 'AWS Secrets Manager'}; write one such as "
                f"{given(example_secret(region))}"
            )
        if ":secret:rds!" in value:
            raise MistakeError(
                "RDS keeps the master user's password in this secret; write the ARN of the role's "
                "own secret"
            )
        return value

    return read


def key_arn(region: str | None) -> Reader[str]:
    """Return a reader of the ARN of a KMS key in the region, or in any where that is None."""
    shape = rf"arn:aws:kms:{re.escape(region) if region else REGION}:[0-9]{{12}}:key/[A-Za-z0-9-]+"
    example = (
        f'"arn:aws:kms:{region or EXAMPLE_REGION}:123456789012:key/'
        '01234567-89ab-cdef-0123-456789abcdef"'
    )
    return matching(
        shape,
        f"the ARN of a KMS key in {region or 'AWS'}",
        f"one such as {example}, never an alias",
    )
