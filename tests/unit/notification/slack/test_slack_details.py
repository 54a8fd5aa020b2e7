"""The details in the thread: everything that the message has no room for."""

from dataclasses import replace
from datetime import timedelta

from connection_guard.core.incident.circumstances import Deployment, DeploymentKind
from connection_guard.core.incident.entry import Usage
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.slack_details import details_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.policy import NO_RULE, Tier
from tests.support.reporter.incidents import (
    LINKS,
    OPENED,
    a_context,
    a_group,
    a_recovery,
    an_alarm,
    an_entry,
    an_escalation,
    an_incident,
)
from tests.support.reporter.slack import LATER, shown
from tests.support.reporter.views import a_view


def everything_shown(incident: Incident, links: Links = LINKS) -> str:
    return shown(details_of(a_view(incident, links, LATER)))


def test_a_message_shows_how_the_incident_is_and_what_was_done_and_why() -> None:
    text = everything_shown(an_incident(an_entry(alarm=an_alarm()), circumstances=a_context()))

    for part in (
        "Details of incident `2026-11-20T03:00-orders-prod`",
        "*Severity*\nCritical",
        "97 of 97 (100 %) → 67 of 97 (69 %)",
        "*Duration*\n12 min so far",
        "*Attempts*\n1",
        "*Usage* a steady climb over 3 h: a leak",
        (
            "`leak`: 30 sessions of invoices idle for hours\n   *Change*: Give the pool of "
            "invoices an idle timeout"
        ),
        (
            "*Terminated*: 30 sessions\n• 30 of `shop` / `invoices`, idle in transaction, rule "
            "`stuck in transaction`"
        ),
        "idle in transaction for 12 min",
        "*Spared*: 1 session\n• 1 of `shop` / `pg_dump`",
        "its application is protected",
        "*What changed (UTC)*\n• 02:40 RDS, orders-prod: Multi-AZ instance failover completed",
        "*Timeline (UTC)*\n• 03:00:00 ",
    ):
        assert part in text
    for page in (LINKS.alarm, LINKS.logs, LINKS.evidence):
        assert page is not None
        assert f"<{page.replace('&', '&amp;')}|" in text


def test_sessions_that_no_rule_matched_are_shown_without_a_rule() -> None:
    spared = a_group(2, rule=NO_RULE, reason="no rule matched", state="active")

    text = everything_shown(an_incident(an_entry(spared=(spared,))))

    assert "• 2 of `shop` / `invoices`, active: no rule matched" in text


def test_what_is_not_there_is_not_shown() -> None:
    entry = an_entry(
        terminated=(), spared=(), causes=(), evidence=None, before=None, after=None, tier=None
    )
    links = replace(LINKS, alarm=None, evidence=None)

    text = everything_shown(an_incident(entry), links)

    assert "not known → not known" in text
    for title in (
        "Terminated",
        "Spared",
        "Cause",
        "Came back",
        "What changed",
        "*Usage*",
        "|Alarm>",
        "|Evidence>",
    ):
        assert title not in text


def test_what_was_only_observed_is_shown_as_such() -> None:
    observed = an_entry(
        kind="observation", alarm=an_alarm(Tier.WARNING), would_terminate=(a_group(7),)
    )

    text = everything_shown(an_incident(observed))

    assert "*Would have terminated*: 7 sessions" in text
    assert "*Terminated*" not in text


def test_what_could_not_be_read_is_said() -> None:
    context = a_context(usage=(), trend=None, events=(), problems=("RDS events: AccessDenied",))

    assert "*Could not be read*\n• RDS events: AccessDenied" in everything_shown(
        an_incident(circumstances=context)
    )


def test_all_that_requires_action_is_listed_the_latest_first() -> None:
    incident = an_incident(an_escalation(0, "refused"), an_escalation(1))

    text = everything_shown(incident)

    assert "*Action required*\n• attempts have run out\n• refused" in text
    assert text.count("Give the pool of invoices an idle timeout") == 1


def test_more_than_all_connections_are_all() -> None:
    over = an_entry(before=Usage(98, 97), after=Usage(98, 97))

    text = everything_shown(an_incident(over))

    assert "*Connections before and now*\nall 97 → all 97" in text
    assert "101" not in text


def test_a_deployment_is_listed_among_what_changed() -> None:
    deployed = Deployment(OPENED, DeploymentKind.ECS_SERVICE, "checkout", "ci")

    text = everything_shown(an_incident(circumstances=a_context(deployments=(deployed,))))

    assert "• 03:00 Update of ECS service checkout by ci\n• 02:40 RDS, " in text


def test_a_recovery_says_how_long_it_took_not_how_long_ago_it_was() -> None:
    incident = an_incident(an_entry(alarm=an_alarm()), a_recovery(3))

    text = shown(details_of(a_view(incident, LINKS, OPENED + timedelta(days=2))))

    assert "*Duration*\n3 min" in text
    assert "so far" not in text
    assert "97 of 97 (100 %) → 50 of 97 (52 %)" in text


def test_details_and_thread_say_that_the_outcome_of_a_killed_run_is_not_known() -> None:
    killed = an_escalation(1, kind="failure", terminated=(), has_unknown_outcomes=True)
    not_known = "*Terminated*: not known; see the log"
    more = "*Terminated*: 30 sessions\n"

    assert not_known in everything_shown(an_incident(killed))
    assert not_known in shown(thread_of(killed, LINKS))
    assert more in everything_shown(an_incident(an_entry(alarm=an_alarm()), killed))
    assert "… it is not known whether more were terminated: see the log" in everything_shown(
        an_incident(an_entry(0), killed)
    )
