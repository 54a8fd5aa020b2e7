"""What the reporter's tests share."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from doubles.slack_double import SlackDouble
from tests.support.reporter.deliveries import (
    REGION,
)
from tests.support.reporter.outside import Outside, stores_in_memory, stores_of_aws


@pytest.fixture
def outside(slack: SlackDouble) -> Outside:
    return Outside(slack, stores_in_memory())


@pytest.fixture
def on_aws(slack: SlackDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", REGION),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield Outside(slack, stores_of_aws())
