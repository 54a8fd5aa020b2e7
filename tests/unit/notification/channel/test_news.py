"""People are notified of what they do not know yet, and of nothing twice."""

from dataclasses import replace

import pytest

from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.channel.news import news_of, thread_entries
from connection_guard.core.notification.email import subject_of, text_of
from connection_guard.core.notification.status import headline_of
from connection_guard.core.policy import Tier
from tests.support.reporter.incident_stories import (
    HALF,
    LINKS,
    MINUTE,
    START,
    a_recovery,
    an_alarm,
    an_entry,
    an_incident,
    document,
)
from tests.support.reporter.views import a_view


def is_news(before: Incident | None, after: Incident) -> bool:
    """Return whether a message is sent where people know all up to `before`."""
    return news_of(after) not in (None, before and news_of(before))


OPEN = an_entry()


WORSE = an_entry(1)


NO_ALARM = replace(OPEN, alarm=None)


OVER = replace(a_recovery(5), alarm=None)


BELOW = an_entry(2, after=HALF, is_below_target=True)


CALLED = an_entry(1, escalation="refused")


FIRED_TWICE = [
    an_entry(minute, "observation", alarm=an_alarm(Tier.WARNING, state))
    for minute, state in ((2, "ALARM"), (3, "OK"), (4, "ALARM"))
]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, an_incident(OPEN), True),
        (an_incident(OPEN), an_incident(OPEN), False),
        (an_incident(OPEN), an_incident(OPEN, WORSE), False),
        (an_incident(OPEN), an_incident(OPEN, BELOW), False),
        (an_incident(OPEN, BELOW), an_incident(OPEN, BELOW, a_recovery(5)), True),
        (an_incident(OPEN, a_recovery(5)), an_incident(OPEN, a_recovery(5), a_recovery(6)), False),
        (an_incident(OPEN), an_incident(OPEN, replace(WORSE, escalation="refused")), True),
        (
            an_incident(replace(OPEN, escalation="refused")),
            an_incident(
                replace(OPEN, escalation="refused"),
                replace(WORSE, escalation="the database is lost"),
            ),
            True,
        ),
        (
            an_incident(replace(OPEN, escalation="still at 100 %", escalation_code="attempts")),
            an_incident(
                replace(OPEN, escalation="still at 100 %", escalation_code="attempts"),
                replace(WORSE, escalation="still at 99 %", escalation_code="attempts"),
            ),
            False,
        ),
        (an_incident(NO_ALARM, OVER), an_incident(NO_ALARM, OVER, an_entry(6)), True),
        (an_incident(OPEN, BELOW), an_incident(OPEN, BELOW, WORSE), False),
        (an_incident(OPEN, *FIRED_TWICE[:2]), an_incident(OPEN, *FIRED_TWICE), True),
        (
            an_incident(OPEN, CALLED, *FIRED_TWICE[:2]),
            an_incident(OPEN, CALLED, *FIRED_TWICE),
            True,
        ),
        (
            an_incident(OPEN, a_recovery(5)),
            an_incident(OPEN, a_recovery(5), an_entry(6, alarm=an_alarm())),
            True,
        ),
        (None, an_incident(a_recovery(1)), False),
        (an_incident(a_recovery(1)), an_incident(OPEN, a_recovery(1)), True),
        (
            an_incident(OPEN, a_recovery(5)),
            an_incident(OPEN, an_entry(1, escalation="refused"), a_recovery(5)),
            False,
        ),
    ],
    ids=[
        "opened",
        "the same again",
        "another attempt",
        "recovering",
        "closed",
        "a second OK",
        "escalated",
        "a further reason",
        "the same reason with other figures",
        "begun again after it was over",
        "above the target again, where nobody was notified that it was below",
        "an alarm that fires anew while another is on",
        "an alarm that fires anew while action is required",
        "an alarm that fires anew after the end",
        "an end without a beginning",
        "whose beginning comes late",
        "what comes late of a closed incident",
    ],
)
def test_a_message_is_sent_where_something_changed_for_people(
    before: Incident | None, after: Incident, expected: bool
) -> None:
    assert is_news(before, after) is expected


def test_a_warning_that_becomes_critical_is_news_and_the_other_way_round_is_not() -> None:
    warning = an_entry(tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING))
    none_known = an_entry(tier=None, alarm=None)

    assert is_news(an_incident(warning), an_incident(warning, WORSE))
    assert not is_news(
        an_incident(none_known), an_incident(none_known, replace(warning, request_id="later"))
    )
    assert not is_news(
        an_incident(OPEN),
        an_incident(OPEN, replace(warning, at=START + MINUTE, request_id="later")),
    )


def test_people_learn_when_action_is_no_longer_required_and_when_it_is_again() -> None:
    escalated = an_incident(replace(OPEN, escalation="refused"))
    recovering = an_incident(*escalated.entries, BELOW)
    rising = an_incident(*recovering.entries, an_entry(3))
    again = an_incident(*recovering.entries, an_entry(3, escalation="refused"))

    assert recovering.progress is Progress.RECOVERING
    assert is_news(escalated, recovering)
    assert subject_of(a_view(recovering)) == "[recovering] orders: 48 of 97 connections in use"
    assert headline_of(recovering).startswith(
        "orders: action no longer required: back below target"
    )
    assert "Action required" not in text_of(a_view(recovering, LINKS, START))
    assert document(recovering)["progress"] == "recovering"
    assert is_news(recovering, rising)
    assert is_news(recovering, again)
    assert is_news(recovering, an_incident(*recovering.entries, a_recovery(5)))


def test_people_are_notified_once_of_an_hour_of_the_same_trouble() -> None:
    entries = [
        an_entry(
            n, "locked_out", escalation=f"no door opened in {n} s", escalation_code="locked out"
        )
        for n in range(60)
    ]

    names = {news_of(an_incident(*entries[: n + 1])) for n in range(60)}

    assert len(names) == 1


def test_an_older_versions_text_with_other_figures_is_the_same_reason() -> None:
    entries = [
        an_entry(n, "observation", escalation=f"{97 - n} of 97 in use, the pools reopen")
        for n in range(3)
    ]
    names = {news_of(an_incident(*entries[: n + 1])) for n in range(3)}

    assert len(names) == 1
    assert thread_entries(an_incident(*entries)) == (entries[0],)
