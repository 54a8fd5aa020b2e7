"""An incident reads well in a mailbox and on a phone."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.incident.circumstances import Circumstances, RdsEvent
from connection_guard.core.incident.entry import DiagnosedCause, Entry, Reopened
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.email import subject_of, text_of
from connection_guard.core.policy import NO_RULE, Tier
from tests.support.reporter.incident_stories import (
    BACKUP,
    CHECKOUT,
    HALF,
    HOSTILE,
    LINKS,
    MINUTE,
    OVER,
    START,
    a_large_incident,
    a_recovery,
    an_alarm,
    an_entry,
    an_incident,
    document,
)
from tests.support.reporter.views import a_view


def text(incident: Incident, minutes: int = 12) -> str:
    return text_of(a_view(incident, LINKS, START + minutes * MINUTE))


@pytest.mark.parametrize(
    ("entries", "subject"),
    [
        ((an_entry(),), "[CRITICAL] orders: 97 of 97 connections"),
        (
            (an_entry(tier=Tier.WARNING, alarm=an_alarm(Tier.WARNING)),),
            "[WARNING] orders: 97 of 97 connections",
        ),
        (
            (an_entry(), an_entry(1, escalation="no door opened")),
            "[ACTION REQUIRED] orders: 97 of 97 connections, the guard gave up",
        ),
        (
            (
                an_entry(
                    kind="failure",
                    headline="the responder ran out of memory and was killed",
                    before=None,
                    after=None,
                ),
            ),
            (
                "[ACTION REQUIRED] orders: usage is not known, the responder ran out of memory and "
                "was killed"
            ),
        ),
        (
            (an_entry(before=OVER, after=OVER),),
            "[CRITICAL] orders: all 97 connections",
        ),
        (
            (an_entry(), an_entry(1, "locked_out", escalation="no door", before=None, after=None)),
            "[ACTION REQUIRED] orders: 97 of 97 connections, Connection Guard cannot get in",
        ),
        (
            (an_entry(), an_entry(1, escalation="the pool reopens", is_engaged=True)),
            "[ACTION REQUIRED] orders: 97 of 97 connections, the guard frees too little",
        ),
        (
            (an_entry(), an_entry(1, after=HALF, is_below_target=True)),
            "[RECOVERING] orders: 48 of 97 connections",
        ),
        ((an_entry(), a_recovery(12)), "[RESOLVED] orders after 12 min"),
    ],
)
def test_the_subject_begins_with_what_a_phone_shows(
    entries: tuple[Entry, ...], subject: str
) -> None:
    assert subject_of(a_view(an_incident(*entries))) == subject


def test_the_subject_spells_foreign_names_as_well_as_ascii_can() -> None:
    incident = an_incident(database="“café” of 日本 …")

    assert subject_of(a_view(incident)) == "[CRITICAL] ?cafe? of ?? ...: 97 of 97 connections"


def test_a_long_subject_is_cut_and_shows_it() -> None:
    subject = subject_of(a_view(an_incident(database="orders" * 50)))

    assert len(subject) == 99
    assert subject.endswith("...")


@given(st.text())
def test_sns_takes_the_subject_with_any_words_in_it(words: str) -> None:
    subject = subject_of(a_view(an_incident(database=f"a{words}")))

    assert subject.startswith("[CRITICAL] a")
    assert len(subject) < 100
    assert all(" " <= character <= "~" for character in subject)


def test_the_text_shows_the_whole_story() -> None:
    first = an_entry(
        terminated=(CHECKOUT,),
        spared=(BACKUP,),
        survived=2,
        reopened=(Reopened("shop", "checkout", 30, 28),),
        causes=(
            DiagnosedCause(
                "leak", "30 sessions were never used again", "give them back in checkout"
            ),
        ),
        evidence="evidence/database=orders/run-0.jsonl.gz",
    )
    last = an_entry(
        5,
        escalation="still at 100 % after 5 attempts",
        problems=("pg_read_all_stats is missing",),
    )
    context = Circumstances(
        (RdsEvent(START - MINUTE, "orders-1", "Multi-AZ failover completed"),),
        (),
        "jumped from 40 % to 100 %",
        (),
    )

    incident = an_incident(first, last, circumstances=context)
    before, _, rest = text(incident).partition("Timeline (UTC)\n--------------\n")
    moments, _, after = rest.partition("Links\n-----\n")
    begins = """\
orders is out of connections: 97 of 97 in use. Connection Guard freed 30, 28
came back at once. Action needed.

  Do now     Give them back in checkout.
  Why        30 sessions were never used again. This began 1 min after RDS
             reported: Multi-AZ failover completed.
  Guard      Attempt 1, stopped because still at 100 % after 5 attempts. It
             starts again with the next alarm. New clients have been refused
             since 03:00 UTC.
  Usage      for 12 min · eu-central-1

Overview
--------
  Status     action required (critical)
  Opened     2026-11-20 03:00 UTC, open for 12 min
  Before     97 of 97 connections in use (100 %)
  Peak       97 of 97 connections in use (100 %)
  Latest     97 of 97 connections in use (100 %)
  Alarm      orders connections critical: ALARM

Action required
---------------
  - still at 100 % after 5 attempts

What was done
-------------
  Terminated 30 sessions in 2 attempts:
     30  "checkout" (role "shop"), idle: stale idle (idle for 12 min)
  Signalled but still there when last seen: 2 sessions.
  "checkout" (role "shop") reopened 28 of 30 terminated sessions.

What was spared, and why
------------------------
      1  "pg_dump" (role "shop"), active: protect.applications (protected)

Why connections ran out, and what to change
-------------------------------------------
  - leak: 30 sessions were never used again
    To change: give them back in checkout

What AWS shows
--------------
  Usage jumped from 40 % to 100 %.
  02:59:00  RDS, orders-1: Multi-AZ failover completed

Problems
--------
  - pg_read_all_stats is missing

"""
    assert begins == before
    assert "  03:05:00  action required: still at 100 % after 5 attempts\n" in moments
    ends = f"""\
  Dashboard  {LINKS.dashboard}
  Alarm      {LINKS.alarm}
  Log        {LINKS.logs}
  Evidence   {LINKS.evidence}
  Object     evidence/database=orders/run-0.jsonl.gz
"""
    assert ends == after


def test_an_observed_incident_says_what_would_have_been_terminated_and_why_it_was_not() -> None:
    entry = an_entry(
        kind="observation",
        would_terminate=(CHECKOUT,),
        explanation="the policy observes at warning",
    )

    mail = text(an_incident(entry))

    assert "No session was terminated.\n  the policy observes at warning\n" in mail
    assert '\n  Would have terminated 30 sessions:\n     30  "checkout"' in mail
    assert "\n  Terminated" not in mail


def test_sessions_that_no_rule_matched_are_listed_without_a_rule() -> None:
    spared = replace(BACKUP, rule=NO_RULE, reason="no rule matched")

    mail = text(an_incident(an_entry(spared=(spared,))))

    assert '      1  "pg_dump" (role "shop"), active: no rule matched\n' in mail


def test_the_text_says_that_the_outcome_of_a_killed_run_is_not_known() -> None:
    killed = an_entry(
        1, kind="failure", headline="the responder was killed", has_unknown_outcomes=True
    )

    nobody_known = an_incident(an_entry(), killed)
    some_known = an_incident(an_entry(terminated=(CHECKOUT,)), killed)

    assert "No session was terminated" not in text(nobody_known)
    assert "\n  It is not known whether sessions were terminated: a run ended, or lost its" in text(
        nobody_known
    )
    assert "Terminated 30 sessions in 1 attempt:" in text(some_known)
    assert "\n  It is not known whether more were terminated: a run ended," in text(some_known)
    assert [document(each)["has_unknown_outcomes"] for each in (an_incident(), nobody_known)] == [
        False,
        True,
    ]


def test_the_subject_of_an_incident_that_another_followed_does_not_say_resolved() -> None:
    incident = an_incident(an_entry(), followed_at=START + 60 * MINUTE)

    assert subject_of(a_view(incident)) == "[FOLLOWED BY ANOTHER INCIDENT] orders after 1 h"
    assert document(incident)["progress"] == "closed"


def test_times_are_utc_and_names_with_hyphens_stay_whole() -> None:
    in_berlin = START.astimezone(timezone(timedelta(hours=1)))
    event = RdsEvent(
        in_berlin, "orders-prod", "Recovery of the DB instance is done on orders-prod-standby-two"
    )

    mail = text(an_incident(circumstances=Circumstances((event,), (), None, ())))

    assert "  03:00:00  RDS, orders-prod: Recovery" in mail
    assert "orders-prod-standby-two" in mail


def test_a_failed_run_requires_action() -> None:
    failure = an_entry(
        kind="failure",
        headline="the responder ran out of memory and was killed",
        before=None,
        after=None,
    )

    mail = text(an_incident(failure))

    assert (
        "Action required\n---------------\n  - the responder ran out of memory and was killed\n"
        in mail
    )
    assert "in use" not in mail


def test_a_resolved_incident_requires_no_action() -> None:
    mail = text(an_incident(an_entry(escalation="refused"), a_recovery(12)), minutes=90)

    assert (
        "  Status     resolved (critical)\n  Opened     2026-11-20 03:00 UTC, lasted 12 min\n"
        in mail
    )
    assert "Why action was required\n-----------------------\n  - refused\n" in mail
    assert "Action required" not in mail


def test_the_text_of_five_thousand_sessions_can_be_read() -> None:
    mail = text(a_large_incident(), minutes=60)

    assert "Terminated 100000 sessions in 20 attempts:" in mail
    assert "and 4990 more groups of 99800 sessions" in mail
    assert "... 40 more earlier changes" in mail
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
