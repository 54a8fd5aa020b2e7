"""Any story, in any order, with a fault at any call: what people saw in the end is what is stored.

Nobody stays unnotified, and nobody is notified of what was never so.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.channel.news import thread_entries
from connection_guard.core.notification.status import headline_of
from connection_guard.errors import NotificationError, StoreError
from doubles.aws.memory_store import MemoryBucket, MemoryIncidents, MemoryLanes
from doubles.slack_double import SlackDouble
from tests.integration.reporter.test_guard_alarms import LIMIT, UNGUARDED, an_alarm
from tests.support.reporter.deliveries import a_report, a_success
from tests.support.reporter.faults import Fault, KilledError
from tests.support.reporter.outside import (
    ORDERS,
    VISIBLE_AGAIN_AFTER,
    Outside,
    Stores,
    a_recovery,
    at,
)

PAYMENTS = WatchedDatabase("payments", is_cluster=False, function_name="payments-responder")
QUIET_MINUTES = 60


class RememberedIncidents(MemoryIncidents):
    """Remembers every state that an incident was ever in."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, set[str]] = {}
        self.last: dict[str, Incident] = {}

    def put(self, incident: Incident, **options: Any) -> bool:
        is_put = super().put(incident, **options)
        for each in filter(None, (incident, options["ended"])) if is_put else ():
            self.states.setdefault(each.id, set()).add(each.progress)
            self.last[each.id] = each
        return is_put


def of_kind(kind: str, minute: int, database: WatchedDatabase) -> Mapping[str, Any]:
    """Return a delivery."""
    match kind:
        case "guard alarm" | "guard ok":
            state = "ALARM" if kind == "guard alarm" else "OK"
            return an_alarm(LIMIT if minute % 2 else UNGUARDED, minute, state)
        case "attempt":
            report = a_report("remediation", at(minute), alarm="ALARM")
        case "escalated":
            report = a_report(
                "observation", at(minute), alarm="ALARM", used=97, escalation=f"reason {minute % 3}"
            )
        case "recovery":
            report = a_recovery(minute)
        case _:
            report = a_report("observation", at(minute), alarm="OK", used=40)
    report = {**report, "database": database.identifier}
    return a_success(report, f"{kind}-{minute}", database.function_name)


deliveries = st.builds(
    of_kind,
    st.sampled_from(["attempt", "escalated", "recovery", "ok", "guard alarm", "guard ok"]),
    st.integers(0, 90),
    st.sampled_from([ORDERS, PAYMENTS]),
)
faults = st.dictionaries(st.integers(0, 200), st.sampled_from(Fault), max_size=8)
refusals = st.lists(st.sampled_from(["500", "429", "refused", "no object", "as usual"]), max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    story=st.lists(deliveries, min_size=1, max_size=10, unique_by=json.dumps),
    again=st.lists(st.integers(0, 9), max_size=3),
    faults=faults,
    refusals=refusals,
)
def test_what_people_saw_in_the_end_is_what_is_stored(
    story: list[Mapping[str, Any]],
    again: list[int],
    faults: dict[int, Fault],
    refusals: list[str],
) -> None:
    with SlackDouble() as slack:
        incidents = RememberedIncidents()
        stores = Stores(MemoryBucket(), incidents, MemoryLanes())
        outside = Outside(slack, stores, ORDERS, PAYMENTS)
        outside.faults.at = dict(faults)
        refuse(slack, refusals)
        for number, record in enumerate([*story, *(story[n] for n in again if n < len(story))]):
            outside.time.later(at(number), partial(deliver, outside, record))
        outside.time.later(at(1), lambda: every_minute(outside, until=QUIET_MINUTES // 2))
        outside.time.sleep(timedelta(hours=2).total_seconds())
        outside.faults.at, slack_calls = {}, len(slack.requests)
        slack.recover()
        outside.another_process()
        outside.every_minute(QUIET_MINUTES)

        assert outside.is_settled
        assert not outside.unreadable
        assert len(slack.requests) - slack_calls < 300, "it comes to rest"
        for incident in incidents.last.values():
            if incident.matters:
                assert_slack_shows(slack, incident)
                assert_last_e_mail_says(outside, incident)
        assert_nobody_was_notified_of_what_was_never_so(outside, incidents)


def deliver(outside: Outside, record: Mapping[str, Any]) -> None:
    """Deliver it as the queue does, until the reporter takes it."""
    try:
        outside.deliver(record)
    except (StoreError, KilledError) as error:
        if isinstance(error, KilledError):
            outside.another_process()
        outside.time.later(outside.now + VISIBLE_AGAIN_AFTER, lambda: deliver(outside, record))


def every_minute(outside: Outside, *, until: int) -> None:
    try:
        outside.notify_pending()
    except (StoreError, NotificationError):
        pass
    except KilledError:
        outside.another_process()
    if until:
        outside.time.later(
            outside.now + timedelta(minutes=1), lambda: every_minute(outside, until=until - 1)
        )


def refuse(slack: SlackDouble, refusals: list[str]) -> None:
    for refusal in refusals:
        match refusal:
            case "500":
                slack.fail()
            case "429":
                slack.limit_rate(retry_after=7)
            case "refused":
                slack.refuse("is_archived")
            case "no object":
                slack.answer("[]")
            case _:
                slack.let_pass()


def assert_slack_shows(slack: SlackDouble, incident: Incident) -> None:
    shown = [message.text for message in slack.channel_view if incident.database in message.text]
    assert any(headline_of(incident) in text for text in shown), (headline_of(incident), shown)
    threads = json.dumps([message.content for message in slack.messages if message.thread])
    for entry in thread_entries(incident):
        assert entry.request_id in threads, f"no reply shows {entry.request_id}"


def assert_last_e_mail_says(outside: Outside, incident: Incident) -> None:
    documents = [each for each in outside.sns.documents if each["id"] == incident.id]
    assert documents, f"no e-mail of {headline_of(incident)}"
    assert documents[-1]["progress"] == incident.progress


def assert_nobody_was_notified_of_what_was_never_so(
    outside: Outside, incidents: RememberedIncidents
) -> None:
    for document in outside.sns.documents:
        if document["id"] in incidents.states:  # others could not be stored when they came
            assert document["progress"] in incidents.states[document["id"]]
