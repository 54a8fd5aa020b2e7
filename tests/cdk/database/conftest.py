"""The stack that the tests of alarms read."""

import pytest

from connection_guard.configuration.max_connections.estimate import Estimate
from tests.cdk.template import Template, synthesized
from tests.support.configurations import a_configuration, a_database


@pytest.fixture(scope="module")
def orders() -> Template:
    """Return the stack of an instance with an estimate of 70 usable connections."""
    return synthesized(
        a_configuration(a_database(max_connections=Estimate(79, "It is estimated.", 70)))
    )
