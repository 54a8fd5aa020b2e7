"""An incident reads well in a mailbox and on a phone, and machines get it as the schema says."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from connection_guard.core.incident.circumstances import Context, RdsEvent
from connection_guard.core.incident.incident import (
    Alarm,
    Cause,
    Entry,
    Incident,
    Progress,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.summary import json_of, news_of, subject_of, text_of
from connection_guard.core.policy import Tier

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "incident.schema.json").read_text())
START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CONSOLE = "https://eu-central-1.console.aws.amazon.com"
LINKS = Links(
    f"{CONSOLE}/alarm", f"{CONSOLE}/log", f"{CONSOLE}/evidence?{'x' * 100}", f"{CONSOLE}/dashboard"
)
FULL, HALF = Usage(97, 97), Usage(48, 97)
CHECKOUT = SessionGroup("stale idle", "idle for 12 min", "shop", "checkout", "idle", 30)
BACKUP = SessionGroup("protect.applications", "protected", "shop", "pg_dump", "active", 1)
HOSTILE = "x\n\nLinks\n-----\n  Alarm  https://evil.example\r\x1b[31m\u202e\u2028" + "y" * 5000


def an_alarm(tier: Tier = Tier.CRITICAL, state: str = "ALARM") -> Alarm:
    name = f"orders connections {tier}"
    return Alarm(name, f"arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{name}", state, tier)


def an_entry(minute: int = 0, kind: str = "remediation", **changes: Any) -> Entry:
    """A run that found the database full and left it full; what else it came to is the test's to
    say.
    """
    facts: dict[str, Any] = {
        "request_id": f"run-{minute}",
        "at": START + minute * MINUTE,
        "kind": kind,
        "headline": "97 of 97 connections in use",
        "alarm": an_alarm() if minute == 0 else None,
        "tier": Tier.CRITICAL,
        "attempt": 1,
        "has_recovered": False,
        "is_below_target": False,
        "escalation": None,
        "before": FULL,
        "after": FULL,
        "terminated": (),
        "survived": 0,
        "would_terminate": (),
        "spared": (),
        "reopened": (),
        "causes": (),
        "explanation": None,
        "problems": (),
        "evidence": None,
    }
    return Entry(**(facts | changes))


def a_recovery(minute: int) -> Entry:
    """The alarm's OK, on a database that is half empty."""
    usage = {"before": HALF, "after": None, "is_below_target": True, "has_recovered": True}
    return an_entry(minute, "observation", alarm=an_alarm(state="OK"), tier=None, **usage)


def an_incident(*entries: Entry, database: str = "orders", **changes: Any) -> Incident:
    return replace(Incident(database, "orders-1", entries or (an_entry(),)), **changes)


def text(incident: Incident, minutes: int = 12) -> str:
    return text_of(incident, LINKS, START + minutes * MINUTE)


def document(incident: Incident, minutes: int = 12) -> dict[str, Any]:
    """As machines read it, and as the schema says."""
    read: dict[str, Any] = json.loads(
        json.dumps(json_of(incident, LINKS, START + minutes * MINUTE), allow_nan=False)
    )
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(read)
    return read


# --- Subject ---


@pytest.mark.parametrize(
    ("entries", "subject"),
    [
        ((an_entry(),), "[critical] orders: 97 of 97 connections in use"),
        (
            (an_entry(tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING)),),
            "[warning] orders: 97 of 97 connections in use",
        ),
        (
            (an_entry(), an_entry(1, escalation="no door opened")),
            "[people needed] orders: no door opened",
        ),
        (
            (
                an_entry(
                    kind="failure",
                    headline="the responder failed: out of memory",
                    before=None,
                    after=None,
                ),
            ),
            "[people needed] orders: the responder failed: out of memory",
        ),
        (
            (an_entry(), an_entry(1, after=HALF, is_below_target=True)),
            "[recovering] orders: 48 of 97 connections in use",
        ),
        ((an_entry(), a_recovery(12)), "[recovered] orders after 12 min"),
    ],
)
def test_the_subject_begins_with_what_a_phone_shows(
    entries: tuple[Entry, ...], subject: str
) -> None:
    assert subject_of(an_incident(*entries)) == subject


def test_the_subject_spells_foreign_names_as_well_as_ascii_can() -> None:
    escalation = "role “café” of 日本 …"

    assert (
        subject_of(an_incident(an_entry(escalation=escalation)))
        == "[people needed] orders: role ?cafe? of ?? ..."
    )


def test_a_long_subject_is_cut_and_shows_it() -> None:
    subject = subject_of(an_incident(an_entry(escalation="because " * 50)))

    assert len(subject) == 99
    assert subject.endswith("...")


@given(st.text())
def test_sns_takes_the_subject_whatever_is_in_it(words: str) -> None:
    subject = subject_of(an_incident(an_entry(escalation=f"a{words}")))

    assert subject.startswith("[people needed] orders: ")
    assert len(subject) < 100
    assert all(" " <= character <= "~" for character in subject)


# --- Text ---


def test_the_text_tells_the_whole_story() -> None:
    first = an_entry(
        terminated=(CHECKOUT,),
        spared=(BACKUP,),
        survived=2,
        reopened=(Reopened("shop", "checkout", 30, 28),),
        causes=(Cause("leak", "30 sessions were never used again", "give them back in checkout"),),
        evidence="evidence/database=orders/run-0.jsonl.gz",
    )
    last = an_entry(
        5,
        escalation="5 attempts, and 100 % are still in use",
        problems=("pg_read_all_stats is missing",),
    )
    context = Context(
        (RdsEvent(START - MINUTE, "orders-1", "Multi-AZ failover completed"),),
        (),
        "jumped from 40 % to 100 %",
        (),
    )

    incident = an_incident(first, last, context=context)
    before, _, rest = text(incident).partition("Timeline (UTC)\n--------------\n")
    moments, _, after = rest.partition("Links\n-----\n")
    begins = """\
orders: people are needed: 5 attempts, and 100 % are still in use

  State      people needed (critical)
  Opened     2026-11-20 03:00 UTC, for 12 min
  Before     97 of 97 connections in use (100 %)
  Highest    97 of 97 connections in use (100 %)
  Latest     97 of 97 connections in use (100 %)
  Alarm      orders connections critical: ALARM

What people have to do
----------------------
  - 5 attempts, and 100 % are still in use

What was done
-------------
  Terminated 30 sessions in 2 attempts:
     30  "checkout" (role "shop"), idle: stale idle (idle for 12 min)
  Signalled and still there when last looked at: 2 sessions.
  "checkout" (role "shop") lost 30 and opened 28 again.

What was spared, and why
------------------------
      1  "pg_dump" (role "shop"), active: protect.applications (protected)

Why connections ran out, and what to change
-------------------------------------------
  - leak: 30 sessions were never used again
    To change: give them back in checkout

What AWS knows
--------------
  Usage jumped from 40 % to 100 %.
  02:59:00  RDS, orders-1: Multi-AZ failover completed

Problems
--------
  - pg_read_all_stats is missing

"""
    assert begins == before
    assert "  03:05:00  people are needed: 5 attempts, and 100 % are still in use\n" in moments
    ends = f"""\
  Dashboard  {LINKS.dashboard}
  Alarm      {LINKS.alarm}
  Log        {LINKS.logs}
  Evidence   {LINKS.evidence}
  Object     evidence/database=orders/run-0.jsonl.gz
"""
    assert ends == after


def test_an_observed_incident_says_who_would_have_gone_and_why_nobody_went() -> None:
    entry = an_entry(
        kind="observation",
        would_terminate=(CHECKOUT,),
        explanation="the policy observes at warning",
    )

    mail = text(an_incident(entry))

    assert "No session was terminated.\n  the policy observes at warning\n" in mail
    assert 'would have terminated 30 sessions:\n     30  "checkout"' in mail
    assert "Terminated" not in mail


def test_of_a_run_that_was_killed_it_is_said_that_nobody_knows_whom_it_terminated() -> None:
    killed = an_entry(
        1, kind="failure", headline="the responder was killed", has_unknown_outcomes=True
    )

    nobody_known = an_incident(an_entry(), killed)
    some_known = an_incident(an_entry(terminated=(CHECKOUT,)), killed)

    assert "No session was terminated" not in text(nobody_known)
    assert "\n  Whether sessions were terminated is not known: a run ended, or lost the" in text(
        nobody_known
    )
    assert "Terminated 30 sessions in 1 attempt:" in text(some_known)
    assert "\n  Whether more were terminated is not known: a run ended," in text(some_known)
    assert [document(each)["has_unknown_outcomes"] for each in (an_incident(), nobody_known)] == [
        False,
        True,
    ]


def test_an_incident_that_another_followed_is_not_said_to_have_recovered() -> None:
    incident = an_incident(an_entry(), followed_at=START + 60 * MINUTE)

    assert subject_of(incident) == "[followed by another] orders after 1 h"
    assert document(incident)["progress"] == "closed"


def test_times_are_utc_and_names_with_hyphens_stay_whole() -> None:
    in_berlin = START.astimezone(timezone(timedelta(hours=1)))
    event = RdsEvent(
        in_berlin, "orders-prod", "Recovery of the DB instance is done on orders-prod-standby-two"
    )

    mail = text(an_incident(context=Context((event,), (), None, ())))

    assert "  03:00:00  RDS, orders-prod: Recovery" in mail
    assert "orders-prod-standby-two" in mail


def test_a_failed_run_is_for_people_to_look_at() -> None:
    failure = an_entry(
        kind="failure", headline="the responder failed: out of memory", before=None, after=None
    )

    mail = text(an_incident(failure))

    assert (
        "What people have to do\n----------------------\n  - the responder failed: out of memory\n"
        in mail
    )
    assert "in use" not in mail


def test_once_it_is_over_nothing_is_left_to_do() -> None:
    mail = text(an_incident(an_entry(escalation="refused"), a_recovery(12)), minutes=90)

    assert (
        "  State      recovered (critical)\n  Opened     2026-11-20 03:00 UTC, lasted 12 min\n"
        in mail
    )
    assert "Why people were needed\n----------------------\n  - refused\n" in mail
    assert "have to do" not in mail


def a_large_incident(name: str = "service") -> Incident:
    """A day of attempts on 5,000 sessions, each of an application of its own."""
    groups = tuple(
        SessionGroup(f"rule {n}", f"idle {name}", f"{name} role", f"{name} {n}", "idle", 1)
        for n in range(5000)
    )
    reopened = tuple(Reopened(f"{name} role", f"{name} {n}", 3, 2) for n in range(100))
    causes = tuple(
        Cause(f"cause {n} {name}", f"because {name}", f"change {name}") for n in range(30)
    )
    entries = [
        an_entry(
            n,
            terminated=groups,
            spared=groups,
            reopened=reopened,
            causes=causes,
            escalation=f"{chr(97 + n % 26)} {name}",
            problems=(name,) * 50,
        )
        for n in range(20)
    ]
    events = tuple(RdsEvent(START + n * MINUTE, name, f"event {n} {name}") for n in range(50))
    return an_incident(*entries, context=Context(events, (), f"rose {name}", (name,) * 50))


def test_the_text_of_five_thousand_sessions_can_be_read() -> None:
    mail = text(a_large_incident())

    assert "Terminated 100000 sessions in 20 attempts:" in mail
    assert "and 4990 more groups of 99800 sessions" in mail
    assert "... 40 more earlier events" in mail
    assert "event 49" in mail
    assert "more ..." in mail.partition("Timeline")[2]
    assert len(mail.splitlines()) < 250
    assert all(len(line) <= 78 for line in mail.splitlines() if "https://" not in line)


def test_hostile_names_stay_on_their_line_and_the_text_stays_short() -> None:
    mail = text(a_large_incident(HOSTILE))

    assert mail.count("\nLinks\n-----\n") == 1
    assert [line for line in mail.splitlines() if line.strip().startswith("Alarm")][1:] == [
        f"  Alarm      {LINKS.alarm}"
    ]
    assert all(character.isprintable() or character == "\n" for character in mail)
    assert len(mail) < 80_000
    assert all(len(line) <= 78 for line in mail.splitlines() if "https://" not in line)


# --- JSON ---


def test_machines_get_the_whole_incident() -> None:
    first = an_entry(
        terminated=(CHECKOUT,), spared=(BACKUP,), escalation="refused", evidence="some/key"
    )
    context = Context((RdsEvent(START, "orders-1", "Failover"),), ((START, 40.0),), "jumped", ())

    read = document(an_incident(first, a_recovery(12), context=context))

    assert (read["id"], read["database"], read["progress"], read["tier"]) == (
        "orders-1",
        "orders",
        "closed",
        "critical",
    )
    assert (read["opened_at"], read["closed_at"]) == (
        "2026-11-20T03:00:00+00:00",
        "2026-11-20T03:12:00+00:00",
    )
    assert (read["seconds"], read["attempts"], read["sessions_terminated"]) == (720, 1, 30)
    assert read["usage"]["first"] == {"used": 97, "usable": 97, "percent": 100.0}
    assert read["usage"]["latest"] == {"used": 48, "usable": 97, "percent": 49.5}
    assert read["terminated"][0]["application"] == "checkout"
    assert read["rds_events"] == [
        {"at": "2026-11-20T03:00:00+00:00", "source": "orders-1", "message": "Failover"}
    ]
    assert (read["escalations"], read["evidence"], read["alarm"]["state"]) == (
        ["refused"],
        "some/key",
        "OK",
    )
    assert read["links"]["logs"] == LINKS.logs
    assert len(read["timeline"]) > 1


@pytest.mark.parametrize(
    "incident",
    [
        an_incident(),
        an_incident(an_entry(kind="failure", tier=None, alarm=None, before=None, after=None)),
        a_large_incident(HOSTILE),
    ],
    ids=["open", "failed", "large"],
)
def test_every_incident_is_as_the_schema_says(incident: Incident) -> None:
    read = document(incident)

    assert set(read["omitted"].values()) == {0}
    assert read["seconds"] == 720


def test_the_schema_describes_every_field() -> None:
    def undescribed(node: Any) -> list[Any]:
        inside = node.get("properties", {}).values() if isinstance(node, dict) else ()
        return [each for each in inside if "description" not in each] + [
            u for each in inside for u in undescribed(each)
        ]

    assert undescribed(SCHEMA) == []
    assert [name for name, node in SCHEMA["$defs"].items() if undescribed(node)] == []


# --- News ---


def is_news(before: Incident | None, after: Incident) -> bool:
    """Whether a message is sent where all up to `before` was told."""
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
            an_incident(replace(OPEN, escalation="97 of 97 left")),
            an_incident(
                replace(OPEN, escalation="97 of 97 left"),
                replace(WORSE, escalation="96 of 97 left"),
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
        "above the target again, of which nobody was told that it was below",
        "an alarm that fires anew while another is on",
        "an alarm that fires anew while people are needed",
        "an alarm that fires anew after the end",
        "an end without a beginning",
        "whose beginning comes late",
        "what comes late of an incident that is over",
    ],
)
def test_a_message_is_worth_sending_where_something_changed_for_people(
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


def test_whoever_was_called_is_called_off_when_usage_is_down_and_called_again_where_it_rises() -> (
    None
):
    escalated = an_incident(replace(OPEN, escalation="refused"))
    recovering = an_incident(*escalated.entries, BELOW)
    rising = an_incident(*recovering.entries, an_entry(3))
    again = an_incident(*recovering.entries, an_entry(3, escalation="refused"))

    assert recovering.progress is Progress.RECOVERING
    assert is_news(escalated, recovering)
    assert subject_of(recovering) == "[recovering] orders: 48 of 97 connections in use"
    assert "orders: people are no longer needed: below the target again" in text(recovering)
    assert "have to do" not in text(recovering)
    assert document(recovering)["progress"] == "recovering"
    assert is_news(recovering, rising)
    assert is_news(recovering, again)
    assert is_news(recovering, an_incident(*recovering.entries, a_recovery(5)))


def test_an_hour_of_the_same_trouble_is_told_once() -> None:
    entries = [an_entry(n, "locked_out", escalation=f"no door opened in {n} s") for n in range(60)]

    names = {news_of(an_incident(*entries[: n + 1])) for n in range(60)}

    assert len(names) == 1
