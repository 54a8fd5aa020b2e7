"""The operator's own access to AWS, with the profile and the region as the AWS CLI takes them."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3
import click
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.session import Session as CoreSession

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.words import shown
from connection_guard.errors import ConnectionGuardError

MISSING = (
    "AWS credentials are missing: set them in the shell "
    "(https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-authentication.html), or name a "
    "profile with AWS_PROFILE"
)

LONGEST_ANSWER = 1000

# With botocore's own patience a person whose VPN is down would wait for minutes.
PATIENCE = Config(
    connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3}
)

# AWS has many names for it, and not all of its texts name the action.
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})

Verb = TypeVar("Verb", bound=Callable[..., Any])


def aws_options(verb: Verb) -> Verb:
    """Add `--profile` and `--region`."""
    profile = click.option("--profile", help="Whose credentials of your AWS configuration to use.")
    region = click.option("--region", help="The default is that of guard.toml, or of your profile.")
    return profile(region(verb))


def aws_session(profile: str | None, region: str | None) -> boto3.Session:
    """Return the session of a profile; None is the default, as AWS's own command line finds it.

    Raise UserMistakeError where there is no such profile, or there are no credentials.
    """
    try:
        # AWS's command line takes it from here, too; boto3 knows only AWS_DEFAULT_REGION.
        region = region or os.environ.get("AWS_REGION")
        core = CoreSession()
        core.set_default_client_config(PATIENCE)
        session = boto3.Session(profile_name=profile, region_name=region, botocore_session=core)
        if session.get_credentials() is None:
            raise UserMistakeError(MISSING)
    except BotoCoreError as error:
        raise UserMistakeError(aws_problem(error)) from error
    session.events.register("after-call", _note_service)
    return session


def aws_problem(error: BotoCoreError | ClientError) -> str:
    """Return one line: what AWS refused and, where a permission is missing, which one."""
    if isinstance(error, NoCredentialsError):
        return MISSING
    if isinstance(error, NoRegionError):
        return "no region is chosen: add --region, or set AWS_REGION"
    said = shown(str(error), LONGEST_ANSWER).rstrip(".")
    if isinstance(error, ProfileNotFound):
        return f"{said}; `aws configure list-profiles` shows those that there are"
    if not isinstance(error, ClientError):
        return f"AWS could not be asked: {said}"
    code = error.response.get("Error", {}).get("Code", "")
    if code in _EXPIRED:
        return f"your AWS credentials have expired: log in again ({said})"
    if action := missing_permission(error):
        return f"your AWS credentials lack the permission {action} ({said})"
    return f"AWS answered: {said}"


def problem_behind(error: ConnectionGuardError) -> str:
    """Return one line: the error's own, with AWS's as `aws_problem` has it."""
    refused = error.__cause__
    if isinstance(refused, BotoCoreError | ClientError):
        return str(error).replace(str(refused), aws_problem(refused))
    return str(error)


def missing_permission(error: ClientError) -> str | None:
    """Return the action, such as "rds:DescribeDBProxies", that AWS refused for want of a
    permission; None where it refused it for another reason.
    """
    if error.response.get("Error", {}).get("Code", "") not in _DENIED:
        return None
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    return f"{metadata.get('Service', 'the service')}:{error.operation_name}"


def _note_service(parsed: dict[str, Any], model: Any, **_: object) -> None:
    """Add the service's name to an answer: ClientError has only the operation's, while a
    permission is both.
    """
    if isinstance(parsed, dict):
        parsed.setdefault("ResponseMetadata", {})["Service"] = str(model.service_model.service_name)
