"""What the reporter's tests share."""

from collections.abc import Iterator

import pytest

from doubles.slack_double import SlackDouble
from tests.support.emulated_account import emulated_account
from tests.support.reporter.outside import Outside, stores_in_memory, stores_of_aws


@pytest.fixture
def outside(slack: SlackDouble) -> Outside:
    return Outside(slack, stores_in_memory())


@pytest.fixture
def on_aws(slack: SlackDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with emulated_account(monkeypatch):
        yield Outside(slack, stores_of_aws())
