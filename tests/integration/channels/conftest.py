"""What the channels' tests share."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from connection_guard.adapters.channels import channel_secrets
from tests.support.emulated_account import emulated_account


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of AWS Secrets Manager, of which nothing is remembered."""
    channel_secrets._secrets.cache_clear()
    with emulated_account(monkeypatch):
        yield boto3.client("secretsmanager")
    channel_secrets._secrets.cache_clear()
