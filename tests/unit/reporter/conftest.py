"""What the tests of the reporter's notifications share."""

import pytest

from reporter.channel import NewsChannel
from tests.unit.reporter.reporting import Reached, Reporting


@pytest.fixture
def people() -> Reached:
    return Reached()


@pytest.fixture
def reporting(people: Reached) -> Reporting:
    return Reporting(NewsChannel("people", people.send))
