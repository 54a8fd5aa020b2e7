"""What Systems Manager's Parameter Store has of the databases of a stack: a parameter for each."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3

from connection_guard.adapters.aws.store_calls import CONFIG, store_errors
from connection_guard.core.deployment.reporter_settings import (
    WatchedDatabase,
    read_watched_database,
)
from connection_guard.errors import ConfigurationError


def database_parameters(
    path: str, session: boto3.Session | None = None
) -> Iterator[WatchedDatabase | ConfigurationError]:
    """Yield each database below the path, as far as it has been read, and for each malformed
    parameter the error that names it. Raises StoreError.

    It uses the credentials of that session, and of the environment where it is None.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
    """
    with store_errors(f"parameters {path}"):
        client = _ssm() if session is None else session.client("ssm", config=CONFIG)
        for page in client.get_paginator("get_parameters_by_path").paginate(Path=path):
            for each in page["Parameters"]:
                try:
                    yield read_watched_database(each["Name"], each["Value"])
                except ConfigurationError as malformed:
                    yield malformed


@cache
def _ssm() -> Any:
    """Return one client per process, made only when it is needed: it takes a while to make."""
    return boto3.client("ssm", config=CONFIG)
