"""A hundred databases that fail at once, against a Slack that takes one message per second: how
long people wait, on a played clock.
"""

from benchmarks.finding import BenchmarkError, Finding, absolute
from doubles.slack_double import SlackDouble
from tests.support.reporter.outage import Outage

DATABASES, RUNS = 100, 10


def measure_many_databases() -> list[Finding]:
    """Measure the longest wait for a first message, and the share of calls that Slack refused."""
    with SlackDouble() as slack:
        shown = Outage(slack, DATABASES, RUNS).play()
    if len(shown.waited) < DATABASES or shown.missing or shown.open or shown.unreadable:
        raise BenchmarkError(
            f"of {DATABASES} databases, {len(shown.waited)} have a message, {len(shown.open)} of "
            f"them not their last state; {len(shown.missing)} runs have no reply, and "
            f"{shown.unreadable} messages are in the dead-letter queue"
        )
    outage = f"{DATABASES} databases, {RUNS} reports each within a minute"
    minutes = shown.settled_after.total_seconds() / 60
    return [
        absolute(f"{outage}: longest wait", max(shown.waited.values()), " s", at_most=150),
        absolute("of these, calls that Slack refused", 100 * shown.refused, " %", at_most=5),
        absolute("of these, until everything is shown", minutes, " min", at_most=30),
    ]
