"""The released template, deployed without the CDK: a file, parameters, and zips in a bucket."""

from collections.abc import Mapping

from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.slack.slack_blocks import MARKS
from connection_guard.core.notification.status import Status
from doubles.slack_double import SlackDouble
from doubles.waiting import wait_until
from tests.e2e.account.emulator import Emulator
from tests.e2e.databases import PAYMENTS, USABLE, RunningDatabase
from tests.e2e.deployed_database import DeployedDatabase
from tests.e2e.deployment import Deployment

STACK = "released-guard"


def test_a_released_template_is_deployed_and_its_guard_frees_the_database(
    deployment: Deployment,
    emulator: Emulator,
    databases: Mapping[str, RunningDatabase],
    slack: SlackDouble,
) -> None:
    running = databases[PAYMENTS]
    running.applications.close()
    running.applications.leak(USABLE * 6 // 10)  # becomes stale meanwhile
    outputs = deployment.deploy_release(STACK, PAYMENTS)
    payments = DeployedDatabase(emulator, STACK, outputs, running)
    shown_before = len(slack.channel_view)

    payments.play_heartbeat()
    assert set(payments.published("Usable").values()) == {USABLE}
    assert payments.evaluate_critical_alarm() == "OK"

    wait_until(running.leak_is_stale)
    running.applications.fill()
    assert not running.applications.are_served()
    assert payments.evaluate_critical_alarm() == "ALARM"
    wait_until(running.applications.are_served)

    (remediation,) = wait_until(lambda: payments.reports_of_kind("remediation"))
    assert remediation["recovered"]
    assert payments.evaluate_critical_alarm() == "OK"
    wait_until(lambda: (incident := payments.incident()) and incident.progress is Progress.CLOSED)
    wait_until(lambda: len(slack.channel_view) > shown_before)
    (message,) = slack.channel_view[shown_before:]
    wait_until(lambda: message.text.startswith(MARKS[Status.RESOLVED]))
