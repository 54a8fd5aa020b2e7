"""What the channels' tests share."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from connection_guard.adapters.channels import channel_secrets


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of AWS Secrets Manager, of which nothing is remembered."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    channel_secrets._secrets.cache_clear()
    with mock_aws():
        yield boto3.client("secretsmanager")
    channel_secrets._secrets.cache_clear()
