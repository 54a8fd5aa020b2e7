"""Links lead to the pages of the AWS console that a person wants next."""

from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.notification.links import Links, links_of
from tests.support.reporter.incidents import an_alarm, an_entry, an_incident

REGION = "eu-central-1"
SETTINGS = ReporterSettings(
    "incidents",
    "evidence",
    f"arn:aws:sns:{REGION}:123456789012:incidents",
    "unreadable",
    "Guard",
    "/guard/databases",
    "/connection-guard/Guard",
)
ORDERS = WatchedDatabase("orders", False, "Guard-orders-Responder-1F2E")
CONSOLE = "https://eu-central-1.console.aws.amazon.com"
names = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=40)


def links(alarm: str | None = None, evidence: str | None = None) -> Links:
    answered = None if alarm is None else replace(an_alarm(), name=alarm)
    return links_of(
        an_incident(an_entry(alarm=answered, evidence=evidence)), ORDERS, SETTINGS, REGION
    )


LOG_PAGES = f"{CONSOLE}/cloudwatch/home?region=eu-central-1#logsV2:log-groups/log-group/"


def test_an_incident_leads_to_its_alarm_the_log_the_evidence_and_the_dashboard() -> None:
    assert links(
        "connection-guard-orders-critical", "evidence/date=2026-03-01/1200 1.json.gz"
    ) == Links(
        alarm=f"{CONSOLE}/cloudwatch/home?region=eu-central-1#alarmsV2:alarm/connection-guard-orders-critical",
        logs=(
            f"{LOG_PAGES}$252Fconnection-guard$252FGuard/log-events"
            "$3FfilterPattern$3D$257B$2520$2524.database$2520$253D$2520$2522orders$2522$2520$257D"
            f"$26start$3D{1000 * int(an_entry().at.timestamp()) - 300_000}"
        ),
        evidence=(
            f"{CONSOLE}/s3/object/evidence?region=eu-central-1&prefix=evidence/date%3D2026-03-01/1200%201.json.gz"
        ),
        dashboard=f"{CONSOLE}/cloudwatch/home?region=eu-central-1#dashboards/dashboard/Guard",
    )


def test_an_incident_of_the_stack_itself_leads_to_the_log_of_the_reporter() -> None:
    reporter = WatchedDatabase("Guard", False, "Guard-Reporter-3C4D")
    known = links_of(an_incident(an_entry()), reporter, SETTINGS, REGION)
    assert known.logs == f"{LOG_PAGES}$252Faws$252Flambda$252FGuard-Reporter-3C4D"


def test_what_an_incident_lacks_has_no_link() -> None:
    known = links()
    assert (known.alarm, known.evidence) == (None, None)


@given(alarm=names, evidence=names)
def test_the_console_reads_back_any_name(alarm: str, evidence: str) -> None:
    known = links(alarm, evidence)
    assert known.alarm is not None
    assert known.evidence is not None
    assert unquote(urlsplit(known.alarm).fragment) == f"alarmsV2:alarm/{alarm}"
    assert parse_qs(urlsplit(known.evidence).query)["prefix"] == [evidence]
    assert (known.alarm + known.evidence).isascii()
    assert not set("<>| \"'") & set(known.alarm + known.evidence)
