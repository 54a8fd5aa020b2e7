"""What becomes of a delivery: kept, read into its incident, told in Slack over real HTTP, by e-mail
and to machines.

Whatever fails, the rest is done, and Lambda's next try does what is missing and nothing twice.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from connection_guard.adapters.aws.sns import sns_client
from connection_guard.adapters.aws.store import Store
from connection_guard.adapters.slack.secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.incident.circumstances import Circumstances
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.errors import ForeignEventError, NotificationError, StoreError
from doubles.slack_double import SlackDouble
from reporter.reporter import Reporter
from reporter.world import World
from tests.support.reporter.deliveries import (
    FUNCTION_NAME,
    REGION,
    a_crash,
    a_notification,
    a_report,
    a_success,
)
from tests.support.reporter.incidents import a_context

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
ORDERS = WatchedDatabase("orders-prod", is_cluster=False, function_name=FUNCTION_NAME)


class Outside:
    """An AWS account, a Slack, and the reporter between them; `now` moves as a test says."""

    def __init__(self, slack: SlackDouble) -> None:
        self.slack = slack
        self.now = NOW
        self.context = a_context()
        self.during_telling: Callable[[], None] | None = None
        self.s3 = boto3.client("s3", region_name=REGION)
        self.s3.create_bucket(
            Bucket="evidence", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        boto3.client("dynamodb", region_name=REGION).create_table(
            TableName="incidents",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
        )
        topic = boto3.client("sns", region_name=REGION).create_topic(Name="incidents")["TopicArn"]
        self.settings = ReporterSettings("incidents", "evidence", topic, "slack", "ConnectionGuard")
        self.store = BreakableStore(self.settings)
        self.sns = RecordingSns()
        self.secret: SlackSecret = SlackBot(slack.token, slack.channel, slack.base_url)
        self.reporter = self.another_process()

    def another_process(self) -> Reporter:
        """With nothing remembered but what is stored."""
        world = World(self.store, self.sns, lambda: self.secret, self._look, lambda: self.now)
        return Reporter(self.settings, {ORDERS.function_name: ORDERS}, REGION, world)

    def _look(self, _database: WatchedDatabase, _now: datetime) -> Circumstances:
        if self.during_telling:
            happens, self.during_telling = self.during_telling, None
            happens()
        return self.context

    def let_happen(self, moment: str, happens: Callable[[], None]) -> None:
        """While the next incident is told, or after that, before the lease is let go."""
        if moment == "during":
            self.during_telling = happens
        else:
            self.store.before_release = happens

    def deliver(self, record: object) -> None:
        self.reporter(a_notification(record), an_invocation())

    @property
    def incident(self) -> Incident:
        latest = Store(self.settings).latest_incident("orders-prod")
        assert latest is not None
        return latest

    def progress(self) -> Progress:
        return self.incident.progress

    @property
    def objects(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket="evidence").get("Contents", [])
        return {
            each["Key"]: self.s3.get_object(Bucket="evidence", Key=each["Key"])["Body"].read()
            for each in listed
        }


@dataclass(frozen=True)
class Invocation:
    aws_request_id: str


def an_invocation() -> Invocation:
    return Invocation(str(uuid4()))


class RecordingSns:
    """Takes what SNS takes, or refuses it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_down = False
        self._real = sns_client(region=REGION)

    def publish(self, **message: Any) -> dict[str, Any]:
        if self.is_down:
            raise refused("Publish")
        self._real.publish(**message)
        self.messages.append(message)
        return {}

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.messages]


class BreakableStore(Store):
    """The real store, which can be told that AWS refuses; `meanwhile` happens before the next write
    to the table.
    """

    def __init__(self, settings: ReporterSettings) -> None:
        super().__init__(settings)
        self.bucket_is_down = False
        self.table_is_throttled = False
        self.lease_is_throttled = False
        self.meanwhile: Callable[[], None] | None = None
        self.before_release: Callable[[], None] | None = None

    def put_evidence(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        if self.bucket_is_down:
            raise StoreError("bucket evidence: SlowDown")
        super().put_evidence(key, body, content_type)

    def latest_incident(self, database: str) -> Incident | None:
        if self.table_is_throttled:
            raise StoreError("table incidents: ThrottlingException")
        return super().latest_incident(database)

    def claim(self, database: str, holder: str, *, now: datetime, until: datetime) -> bool:
        if self.lease_is_throttled:
            raise StoreError("table incidents: ThrottlingException")
        return super().claim(database, holder, now=now, until=until)

    def release(self, database: str, holder: str, *, notified: int) -> bool:
        if self.before_release:
            happens, self.before_release = self.before_release, None
            happens()
        return super().release(database, holder, notified=notified)

    def put_incident(self, incident: Incident, *, replaces: int | None) -> bool:
        if self.meanwhile:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return super().put_incident(incident, replaces=replaces)


def refused(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, operation)


@pytest.fixture
def outside(slack: SlackDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", REGION),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield Outside(slack)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def on_a_heartbeat(report: dict[str, Any]) -> dict[str, Any]:
    """The report as a heartbeat's."""
    return {**report, "event": {**report["event"], "type": "heartbeat", "alarm": None}}


def a_recovery(minute: int) -> dict[str, Any]:
    return on_a_heartbeat(a_report("observation", at(minute), used=60, recovered=True))


def states(outside: Outside) -> list[str]:
    """What the subject of each e-mail begins with."""
    return [subject.partition("]")[0] + "]" for subject in outside.sns.subjects]


def everything_said(slack: SlackDouble) -> str:
    return json.dumps([message.content for message in slack.messages], ensure_ascii=False)


def test_from_the_first_alarm_to_the_recovery_there_is_one_message(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(
        a_success(a_report("observation", at(0), tier="warning", alarm="ALARM", used=75), "run-1")
    )
    (message,) = slack.channel_view
    assert outside.progress() is Progress.OPEN

    outside.deliver(a_success(a_report("remediation", at(3)), "run-2"))
    outside.deliver(
        a_success(a_report("observation", at(9), tier="critical", alarm="OK", used=40), "run-3")
    )
    outside.deliver(
        a_success(a_report("observation", at(10), tier="warning", alarm="OK", used=40), "run-4")
    )

    assert slack.channel_view == [message]
    assert outside.progress() is Progress.CLOSED
    assert "resolved after" in message.text or "resolved after" in json.dumps(message.content)
    assert len(slack.thread_of(message)) >= 1
    assert states(outside) == ["[warning]", "[recovering]", "[resolved]"]


def test_an_alarm_that_ends_above_the_target_ends_its_incident_and_the_next_one_is_notified(
    outside: Outside, slack: SlackDouble
) -> None:
    """The attempt leaves 70 of 97 connections in use: 72 %, below every alarm's threshold and above
    the target.
    """
    attempt = a_report("remediation", at(0), recovered=False)
    attempt["after"] |= {"used": 70, "utilisation": 72.2}
    outside.deliver(a_success(attempt, "run-1"))
    outside.deliver(a_success(a_report("observation", at(4), alarm="OK", used=70), "run-2"))
    assert outside.progress() is Progress.CLOSED

    outside.now = at(60)
    outside.deliver(a_success(a_report("remediation", at(60)), "run-3"))

    assert len(slack.channel_view) == 2
    first, second = slack.channel_view
    assert "resolved after 4 min" in json.dumps(first.content)
    assert "67 of 97 connections in use" in json.dumps(second.content)
    assert states(outside) == ["[critical]", "[resolved]", "[recovering]"]


def test_whoever_was_called_is_called_off_before_the_alarm_ends(
    outside: Outside, slack: SlackDouble
) -> None:
    refusal = a_report(
        "observation", at(0), alarm="ALARM", used=97, escalation="refused: 80 % of all sessions"
    )
    outside.deliver(a_success(refusal, "run-1"))
    outside.deliver(a_success(a_recovery(5), "run-2"))

    (message,) = slack.channel_view
    assert "action no longer required: back below target" in json.dumps(message.content)
    assert "Action required" not in json.dumps(message.content)
    document = json.loads(json.loads(outside.sns.messages[-1]["Message"])["default"])
    assert (states(outside), document["progress"]) == (
        ["[action required]", "[recovering]"],
        "recovering",
    )

    outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=60), "run-3"))
    assert states(outside)[2:] == ["[resolved]"]


def test_an_alarm_that_fires_anew_while_people_are_needed_is_notified(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(
        a_success(a_report("observation", at(0), tier="warning", alarm="ALARM", used=80), "run-0")
    )
    refusal = a_report(
        "observation", at(1), alarm="ALARM", used=97, escalation="refused: 80 % of all sessions"
    )
    outside.deliver(a_success(refusal, "run-1"))
    outside.deliver(a_success(a_report("observation", at(5), alarm="OK", used=80), "run-2"))
    outside.deliver(a_success(a_report("observation", at(9), alarm="ALARM", used=95), "run-3"))

    (message,) = slack.channel_view
    assert states(outside) == ["[warning]", "[action required]", "[action required]"]
    assert "run-3" in json.dumps([reply.content for reply in slack.thread_of(message)])


def test_an_incident_whose_alarm_s_end_was_lost_is_over_when_the_next_begins(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_success(a_report("observation", at(0), alarm="ALARM", used=97), "run-1"))
    outside.deliver(a_success(a_recovery(5), "run-2"))
    outside.deliver(a_success(a_report("observation", at(90), alarm="ALARM", used=97), "run-3"))
    outside.deliver(a_success(a_report("observation", at(91), alarm="ALARM", used=97), "run-3"))

    first, second = slack.channel_view
    assert "followed by another incident" in json.dumps(first.content)
    assert "97 of 97 connections in use" in json.dumps(second.content)
    assert states(outside) == ["[critical]", "[followed by another incident]", "[critical]"]
    assert outside.incident.previous is None


def test_of_a_run_that_was_killed_nobody_says_that_no_session_was_terminated(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_crash())

    mail = json.loads(outside.sns.messages[0]["Message"])
    assert "*Terminated*: not known, see the log" in everything_said(slack)
    assert "Whether sessions were terminated is not known" in mail["email"]
    assert "No session was terminated" not in mail["email"]
    assert json.loads(mail["default"])["has_unknown_outcomes"] is True


def test_duplicates_change_nothing(outside: Outside, slack: SlackDouble) -> None:
    for _ in range(3):
        outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))

    (message,) = slack.channel_view
    assert len(slack.thread_of(message)) == 1
    assert len(outside.sns.messages) == 1
    assert len(outside.incident.entries) == 1


def test_a_delivery_that_comes_while_another_is_told_is_told_by_whoever_is_telling(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    other = outside.another_process()

    def comes_now() -> None:  # between the other's look and its write of what it told
        other(a_notification(a_success(a_report("remediation", at(2)), "run-3")), an_invocation())

    def comes_after_absorbing() -> None:
        outside.store.meanwhile = comes_now

    outside.store.meanwhile = comes_after_absorbing
    outside.deliver(a_success(a_report("remediation", at(1)), "run-2"))

    (message,) = slack.channel_view
    assert len(outside.incident.entries) == 3
    assert len(slack.thread_of(message)) == 3


def test_evidence_is_a_line_a_session_and_the_report_beside_it(outside: Outside) -> None:
    report = a_report("remediation", at(0))
    outside.deliver(a_success(report, "run-1"))

    lines, whole = outside.objects[outside.incident.evidence or ""], outside.objects
    rows = [json.loads(line) for line in gzip.decompress(lines).splitlines()]
    assert len(rows) == report["evidence"]["sessions"]
    (document,) = [json.loads(body) for key, body in whole.items() if key.startswith("reports/")]
    assert document["headline"] == report["headline"]


def test_a_crash_of_the_responder_is_an_incident_of_its_database(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_crash())

    assert outside.progress() is Progress.ESCALATED
    assert "memory" in everything_said(slack)
    assert outside.sns.subjects[0].startswith("[action required] orders-prod")
    assert [key.partition("/")[0] for key in outside.objects] == ["failures"]


def test_through_a_webhook_each_change_is_a_message(outside: Outside, slack: SlackDouble) -> None:
    outside.secret = SlackWebhook(slack.webhook)
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    outside.deliver(a_success(on_a_heartbeat(a_report("remediation", at(1))), "run-2"))
    outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=40), "run-3"))

    assert len(slack.channel_view) == 2
    assert "resolved after" in json.dumps(slack.channel_view[-1].content)
    assert states(outside) == ["[recovering]", "[resolved]"]


# Nothing is lost.


def test_slack_that_is_down_for_an_hour_is_told_it_all_afterwards(
    outside: Outside, slack: SlackDouble
) -> None:
    slack.fail(times=1000)
    for minute in range(0, 60, 20):
        outside.now = at(minute)
        with pytest.raises(NotificationError, match="Slack"):
            outside.deliver(a_success(a_report("remediation", at(minute)), f"run-{minute}"))
    assert slack.channel_view == []
    assert outside.sns.subjects, "people were told by e-mail"

    slack.recover()
    outside.now = at(61)
    outside.deliver(a_success(a_report("observation", at(61), alarm="OK", used=40), "run-61"))

    (message,) = slack.channel_view
    assert "resolved after" in json.dumps(message.content)
    assert len(slack.thread_of(message)) >= 3


def test_an_end_that_slack_could_not_be_told_is_told_when_the_next_incident_is(
    outside: Outside, slack: SlackDouble
) -> None:
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    (first,) = slack.channel_view
    slack.fail(times=1000)
    with pytest.raises(NotificationError):
        outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=40), "run-2"))
    assert "resolved after" not in json.dumps(first.content)

    slack.recover()
    for _ in range(2):
        outside.deliver(a_success(a_report("remediation", at(30)), "run-3"))

    assert "resolved after" in json.dumps(first.content)
    assert len(slack.channel_view) == 2
    assert [subject.partition(" ")[0] for subject in outside.sns.subjects].count("[resolved]") == 1


def test_sns_that_refuses_is_told_with_lambdas_next_try_and_slack_not_twice(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.sns.is_down = True
    with pytest.raises(NotificationError, match="incidents"):
        outside.deliver(record)
    assert len(slack.channel_view) == 1

    outside.sns.is_down = False
    outside.deliver(record)
    outside.deliver(record)

    assert len(outside.sns.messages) == 1
    (message,) = slack.channel_view
    assert len(slack.thread_of(message)) == 1


def test_a_throttled_table_keeps_nobody_from_being_told_and_lambdas_next_try_stores_it(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.store.table_is_throttled = True
    for _ in range(2):
        with pytest.raises(StoreError, match="Throttling"):
            outside.deliver(record)
    assert len(outside.sns.messages) == 1
    assert any(key.startswith("evidence/") for key in outside.objects)

    outside.store.table_is_throttled = False
    outside.deliver(record)

    assert outside.incident.terminated
    assert len(slack.channel_view) == 1


def test_a_bucket_that_refuses_keeps_nobody_from_being_told_and_the_next_try_stores_it(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.store.bucket_is_down = True
    with pytest.raises(StoreError, match="SlowDown"):
        outside.deliver(record)
    assert len(slack.channel_view) == len(outside.sns.messages) == 1

    outside.store.bucket_is_down = False
    outside.deliver(record)

    assert outside.incident.evidence in outside.objects
    assert len(slack.channel_view) == len(outside.sns.messages) == 1


def test_a_message_that_cannot_be_read_is_told_once_and_kept_by_lambda(outside: Outside) -> None:
    invocation = an_invocation()
    for _ in range(3):  # Lambda tries the same invocation again
        with pytest.raises(ForeignEventError):
            outside.reporter(
                a_notification({"requestContext": {"condition": "Success"}}), invocation
            )

    assert outside.sns.subjects == ["[unreadable report]"]


def test_a_report_that_is_not_as_its_schema_has_it_is_told_with_its_headline(
    outside: Outside, slack: SlackDouble
) -> None:
    report = {**a_report("remediation", at(0)), "outcomes": None}
    outside.deliver(a_success(report, "run-1"))

    assert "malformed" in everything_said(slack)
    assert outside.progress() is Progress.ESCALATED


def test_no_secret_is_told_stored_or_logged(
    outside: Outside, slack: SlackDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    slack.fail(times=1000)
    with pytest.raises(NotificationError) as error:
        outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    outside.secret = replace(
        SlackBot(slack.token, slack.channel), base_url="http://127.0.0.1:1/api/"
    )
    with pytest.raises(NotificationError) as other:
        outside.deliver(a_success(a_report("remediation", at(1)), "run-2"))

    logged = capsys.readouterr()
    said = f"{error.value}{other.value}{logged.out}{logged.err}"
    said += f"{outside.sns.messages}{outside.incident}"
    assert slack.token not in said


def test_a_throttled_lease_keeps_nobody_from_being_told(
    outside: Outside, slack: SlackDouble
) -> None:
    record = a_success(a_report("remediation", at(0)), "run-1")
    outside.store.lease_is_throttled = True
    for _ in range(2):
        with pytest.raises(StoreError, match="Throttling"):
            outside.deliver(record)
    assert len(outside.sns.messages) == 1

    outside.store.lease_is_throttled = False
    outside.deliver(record)
    assert len(slack.channel_view) == 1


@pytest.mark.parametrize("moment", ["during", "after"])
@pytest.mark.parametrize("is_down", [False, True], ids=["Slack answers", "Slack is down"])
def test_what_comes_at_the_last_moment_of_a_telling_is_told(
    outside: Outside, slack: SlackDouble, is_down: bool, moment: str
) -> None:
    """Also by a run that has nothing new to tell itself, and by one that Slack refuses."""
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    other = outside.another_process()
    end = a_success(a_report("observation", at(9), alarm="OK", used=40), "run-2")
    outside.let_happen(moment, lambda: other(a_notification(end), an_invocation()))
    if is_down:
        slack.fail(times=1000)
        with pytest.raises(NotificationError):
            outside.deliver(a_success(a_report("remediation", at(1)), "run-3"))
    else:
        outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
        assert "resolved after" in json.dumps(slack.channel_view[0].content)

    assert outside.sns.subjects[-1].startswith("[resolved]")


@pytest.mark.parametrize("moment", ["during", "after"])
def test_an_incident_that_begins_while_the_last_is_told_is_told(
    outside: Outside, slack: SlackDouble, moment: str
) -> None:
    outside.deliver(a_success(a_report("remediation", at(0)), "run-1"))
    other = outside.another_process()
    next_one = a_success(a_report("remediation", at(30)), "run-3")
    outside.let_happen(moment, lambda: other(a_notification(next_one), an_invocation()))

    outside.deliver(a_success(a_report("observation", at(9), alarm="OK", used=40), "run-2"))

    assert len(slack.channel_view) == 2
    assert outside.incident.slack is not None


@pytest.mark.parametrize(
    "wrong", [{"attempt": None}, {"evidence": {"format": 1}}, {"evidence": 7}, {"spared": [1]}]
)
def test_a_report_with_one_wrong_field_is_told_and_spoils_nothing_that_comes_after(
    outside: Outside, slack: SlackDouble, wrong: dict[str, Any]
) -> None:
    outside.deliver(a_success({**a_report("remediation", at(0)), **wrong}, "run-1"))
    assert len(outside.sns.messages) == len(slack.channel_view) == 1

    outside.deliver(a_success(a_report("remediation", at(1)), "run-2"))
    assert len(outside.incident.entries) == 2


def test_each_message_that_cannot_be_read_is_told(outside: Outside) -> None:
    for number in range(3):
        with pytest.raises(ForeignEventError):
            outside.deliver({"requestContext": {"condition": "Success", "requestId": str(number)}})

    assert len(outside.sns.messages) == 3
