"""Incidents of any content, and the fullest one."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from connection_guard.core.database.pause import Pause
from connection_guard.core.deployment.reporter_settings import Owner
from connection_guard.core.incident.circumstances import (
    Circumstances,
    Deployment,
    DeploymentKind,
    RdsEvent,
)
from connection_guard.core.incident.entry import (
    Alarm,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.notification.links import Links
from connection_guard.core.policy import Tier
from tests.support.reporter.incidents import OPENED, a_context, an_entry, an_incident
from tests.support.reporter.slack import HOSTILE

names = st.text(max_size=63) | st.sampled_from([HOSTILE, "<!channel>", "😀" * 15, "&" * 63])


lines = st.text(max_size=40) | st.integers(1, 1000).map(lambda n: "<&>😀 " * (n // 5 + 1))


counts = st.integers(0, 100_000)


usages = st.none() | st.builds(Usage, counts, counts)


groups = st.lists(
    st.builds(SessionGroup, names, lines, names, names, st.none() | names, st.integers(1, 5000)),
    max_size=12,
).map(tuple)


causes = st.builds(
    DiagnosedCause,
    names | st.sampled_from(["pool reopens", "leak", "connection storm"]),
    lines,
    lines,
    counts,
    st.none() | names,
    st.none() | names,
    counts,
    st.none() | names,
)


entries = st.builds(
    Entry,
    request_id=st.uuids().map(str),
    at=st.integers(0, 100_000).map(lambda seconds: OPENED + timedelta(seconds=seconds)),
    kind=st.sampled_from(
        ["remediation", "observation", "locked_out", "preflight_failed", "failure"]
    ),
    headline=lines.filter(lambda line: line.strip() != ""),
    alarm=st.none()
    | st.builds(
        Alarm, names, names, st.sampled_from(["ALARM", "OK"]), st.none() | st.sampled_from(Tier)
    ),
    tier=st.none() | st.sampled_from(Tier),
    attempt=st.integers(0, 20),
    has_recovered=st.booleans(),
    is_below_target=st.none() | st.booleans(),
    escalation=st.none() | lines,
    before=usages,
    after=usages,
    terminated=groups,
    survived=counts,
    would_terminate=groups,
    spared=groups,
    reopened=st.lists(st.builds(Reopened, names, names, counts, counts), max_size=12).map(tuple),
    causes=st.lists(causes, max_size=8).map(tuple),
    explanation=st.none() | lines,
    problems=st.lists(lines, max_size=6).map(tuple),
    evidence=st.none() | lines,
    has_unknown_outcomes=st.booleans(),
    escalation_code=st.none() | st.sampled_from(["attempts used", "pools reopen", "too many"]),
    is_engaged=st.booleans(),
    restraint=st.none() | st.sampled_from(["observing", "paused", "refused"]),
    pause=st.none() | st.builds(Pause, st.none() | st.just(OPENED), lines),
)


moments = st.integers(0, 100_000).map(lambda seconds: OPENED - timedelta(seconds=seconds))


contexts = st.builds(
    Circumstances,
    events=st.lists(st.builds(RdsEvent, moments, names, lines), max_size=12).map(tuple),
    usage=st.lists(st.tuples(moments, st.none() | st.floats(0, 200)), max_size=200).map(tuple),
    trend=st.none() | lines,
    problems=st.lists(lines, max_size=6).map(tuple),
    deployments=st.lists(
        st.builds(Deployment, moments, st.sampled_from(DeploymentKind), names, names), max_size=6
    ).map(tuple),
)


pages = st.integers(0, 600).map(lambda n: "https://console.example/?a=" + "&|>" * n)


any_incidents = st.builds(
    Incident,
    database=names.filter(lambda name: name.strip() != ""),
    id=names,
    entries=st.lists(entries, min_size=1, max_size=6).map(
        lambda each: tuple(sorted(each, key=lambda entry: entry.at))
    ),
    circumstances=st.none() | contexts,
)


any_links = st.builds(Links, st.none() | pages, pages, st.none() | pages, pages)


any_owners = st.none() | st.builds(Owner, lines, st.none() | st.just("S0123ABCD"))


def fullest(text: str) -> Incident:
    """Return everything that can be shown, each part as long as the text."""
    group = SessionGroup(text, text, text, text, text, 5000)
    entry = an_entry(
        headline=text,
        terminated=tuple(replace(group, rule=f"{i}{text}") for i in range(50)),
        would_terminate=(group,) * 50,
        spared=(group,) * 50,
        reopened=tuple(Reopened(f"{i}{text}", text, 9, 8) for i in range(50)),
        causes=tuple(DiagnosedCause(f"{i}{text}", text, text) for i in range(50)),
        escalation=text,
        problems=(text,) * 50,
        alarm=Alarm(text, text, "ALARM", Tier.CRITICAL),
        evidence=text,
        before=Usage(98, 97),
        after=Usage(98, 97),
        has_unknown_outcomes=True,
    )
    more = [
        replace(entry, request_id=f"{i}", at=entry.at + timedelta(seconds=i)) for i in range(60)
    ]
    events = (RdsEvent(OPENED, text, text),) * 50
    deployments = (Deployment(OPENED, DeploymentKind.ECS_SERVICE, text, text),) * 10
    context = a_context(events=events, deployments=deployments, trend=text, problems=(text,) * 50)
    return replace(an_incident(*more, circumstances=context), database=text, id=text)
