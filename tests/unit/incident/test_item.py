"""An incident becomes an item that DynamoDB takes, and comes back as it was."""

import gzip
import json
import string
from dataclasses import fields, replace
from datetime import datetime, timedelta
from random import Random

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from connection_guard.core.database.pause import Pause
from connection_guard.core.incident.circumstances import (
    Circumstances,
    Deployment,
    DeploymentKind,
    RdsEvent,
)
from connection_guard.core.incident.entry import (
    LINE_LENGTH,
    DiagnosedCause,
    Entry,
    Reopened,
    SessionGroup,
    Usage,
    sessions_in,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.incident_size import MOST_BYTES, MOST_ENTRIES, bounded
from connection_guard.core.incident.item import (
    attributes_of,
    body_of,
    copy_key,
    incident_of,
    latest_key,
)
from connection_guard.core.incident.report_entry import MOST_GROUPS, MOST_LINES, NAME_LENGTH
from connection_guard.core.policy import Tier
from tests.support.builders import NOW
from tests.support.reporter.stories import a_group, a_whole_story, absorbed, an_alarm, an_entry


def a_full_incident() -> Incident:
    """Every field of it, and of its last entry, holds something."""
    entry = an_entry(
        "remediation",
        minute=20,
        used=97,
        alarm=an_alarm(Tier.CRITICAL),
        tier=Tier.CRITICAL,
        attempt=3,
        has_recovered=True,
        escalation="people, please — über alles 😀",
        after=Usage(31, 100),
        terminated=(a_group(),),
        survived=1,
        would_terminate=(replace(a_group(), state=None),),
        spared=(a_group(7),),
        reopened=(Reopened("shop", "checkout", 40, 38),),
        causes=(
            DiagnosedCause(
                "leak", "12 sessions", "end them", 12, "shop", "checkout", 2, "10.0.0.1"
            ),
        ),
        explanation="why",
        problems=("one", "two"),
        evidence="evidence/key",
        has_unknown_outcomes=True,
        escalation_code="attempts",
        times=4,
        is_engaged=True,
        restraint="pools reopen",
        refused_a_login=True,
        had_no_data=True,
        pause=Pause(NOW, "alice: load test"),
    )
    context = Circumstances(
        events=(RdsEvent(NOW, "orders-prod", "Multi-AZ failover completed"),),
        usage=((NOW, 71.5), (NOW + timedelta(minutes=1), None)),
        trend="a climb over 3 h",
        problems=("CloudWatch: throttled",),
        deployments=(Deployment(NOW, DeploymentKind.ECS_SERVICE, "checkout", "alice"),),
        looked_at=NOW,
    )
    return replace(
        absorbed([*a_whole_story()[:-1], entry]),
        circumstances=context,
        not_before=NOW - timedelta(days=1),
        alarms_before=(replace(an_alarm(Tier.WARNING, "OK"), changed_at=NOW - timedelta(days=1)),),
        followed_at=NOW + timedelta(days=1),
        earlier=(an_entry(minute=-90, used=77),),
        merged_beginnings=3,
    )


def test_every_field_comes_back_as_it_was() -> None:
    incident = a_full_incident()

    back = incident_of(body_of(incident))

    assert all(getattr(incident, field.name) for field in fields(Incident))
    assert all(
        getattr(incident.entries[-1], field.name) not in (None, (), "") for field in fields(Entry)
    )
    assert back == incident
    assert isinstance(back.entries[-1].tier, Tier)
    assert back.circumstances is not None
    assert back.circumstances.deployments[0].what is DeploymentKind.ECS_SERVICE


def test_what_another_version_wrote_is_read() -> None:
    incident = a_full_incident()
    document = json.loads(gzip.decompress(body_of(incident)))
    del (
        document["not_before"],
        document["entries"][0]["times"],
        document["entries"][0]["alarm"]["changed_at"],
    )
    document["told"], document["slack"] = ["run-1"], {"channel": "C1", "timestamp": "1.2"}
    document["context"] = document.pop("circumstances")
    del document["context"]["deployments"], document["context"]["looked_at"]
    document["entries"][0]["new"] = document["new"] = {"unknown": 1}

    back = incident_of(gzip.compress(json.dumps(document).encode()))

    assert incident.circumstances is not None
    seen = replace(incident.circumstances, deployments=(), looked_at=None)
    assert back == replace(incident, not_before=None, circumstances=seen)


def test_the_same_incident_is_the_same_item_which_a_person_can_read_and_which_expires() -> None:
    incident = absorbed(a_whole_story())

    attributes = attributes_of(incident, "what happened")

    assert attributes == attributes_of(incident, "what happened")
    assert attributes | {"body": b""} == {
        "version": 6,
        "opened_at": NOW.isoformat(),
        "progress": "closed",
        "headline": "what happened",
        "expires_at": int((NOW + timedelta(minutes=9, days=400)).timestamp()),
        "body": b"",
    }
    assert latest_key("orders-prod") == {"pk": "database#orders-prod", "sk": "incident"}
    assert copy_key(incident.database, incident.id) == {
        "pk": "database#orders-prod",
        "sk": f"incident#{incident.id}",
    }


def test_the_longest_incident_of_the_most_hostile_names_fits_into_an_item() -> None:
    random = Random(4)  # noqa: S311 - the same names every time

    def text(length: int) -> str:
        return "".join(random.choices(string.printable, k=length))

    def groups() -> tuple[SessionGroup, ...]:
        # A rule's name is the policy's, its reason the guard's own: neither is noise.
        return tuple(
            SessionGroup("r" * 100, "why " * 50, text(63), text(63), "idle", n)
            for n in range(MOST_GROUPS + 1)
        )

    def lines(length: int) -> tuple[str, ...]:
        return tuple(text(63) + "said " * (length // 5 - 13) for _ in range(MOST_LINES))

    def entry(minute: int) -> Entry:
        return an_entry(
            "remediation",
            minute=minute,
            used=97,
            terminated=groups(),
            spared=groups(),
            reopened=tuple(Reopened(text(63), text(63), 3, 3) for _ in range(MOST_GROUPS)),
            causes=tuple(DiagnosedCause(line, line, line) for line in lines(LINE_LENGTH)),
            problems=lines(LINE_LENGTH),
        )

    incident = absorbed(entry(minute) for minute in range(MOST_ENTRIES + 5))

    assert len(incident.entries) == MOST_ENTRIES
    assert len(body_of(incident)) < 390_000
    assert isinstance(incident.opened_at, datetime)


PLANES = {"ascii": (33, 126), "any": (0xE000, 0x10FFFF), "half": (0xD800, 0xDBFF)}


def a_hostile_entry(random: Random, minute: int, characters: tuple[int, int], kind: str) -> Entry:
    """Return an entry as large as a Report can make it, which does not compress."""

    def text(length: int) -> str:
        return "".join(chr(random.randint(*characters)) for _ in range(length))

    def name() -> str:
        return text(NAME_LENGTH)

    def groups() -> tuple[SessionGroup, ...]:
        return tuple(
            SessionGroup(name(), text(200), name(), name(), name(), n)
            for n in range(MOST_GROUPS + 1, 0, -1)
        )

    return an_entry(
        kind,
        minute=minute,
        used=random.randint(50, 100),
        headline=text(LINE_LENGTH),
        alarm=random.choice([None, an_alarm(Tier.CRITICAL), an_alarm(Tier.CRITICAL, "OK")]),
        escalation=random.choice([None, text(LINE_LENGTH)]),
        after=Usage(random.randint(50, 100), 100),
        terminated=groups(),
        would_terminate=groups(),
        spared=groups(),
        survived=1,
        reopened=tuple(Reopened(name(), name(), 3, 2) for _ in range(MOST_GROUPS)),
        causes=tuple(
            DiagnosedCause(name(), text(LINE_LENGTH), text(LINE_LENGTH), 3, name(), name())
            for _ in range(MOST_LINES)
        ),
        explanation=text(LINE_LENGTH),
        problems=tuple(text(LINE_LENGTH) for _ in range(MOST_LINES)),
    )


# Shrinking takes minutes: what fails is as large as can be.
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    st.integers(),
    st.sampled_from(sorted(PLANES)),
    st.sampled_from(["remediation", "observation", "locked_out"]),
    st.sampled_from([1, 2, 5, 20, MOST_ENTRIES + 5]),
)
@example(-613, "ascii", "observation", MOST_ENTRIES + 5).via(
    "what opened it is not its first entry"
)
def test_an_incident_of_any_content_fits(seed: int, plane: str, kind: str, number: int) -> None:
    random = Random(seed)  # noqa: S311 - the same names for the same seed
    entries = [a_hostile_entry(random, n, PLANES[plane], kind) for n in range(number)]
    whole = Incident("orders-prod", "id", tuple(entries), version=number)

    incident = bounded(whole)

    body = body_of(incident)
    assert len(body) <= MOST_BYTES
    assert incident_of(body) == incident
    assert sessions_in(incident.terminated) == sessions_in(whole.terminated)
    assert sum(entry.times for entry in incident.entries) == number
    assert (incident.progress, incident.opened_at) == (whole.progress, whole.opened_at)
    assert incident.beginnings == whole.beginnings
    assert sessions_in(incident.spared) == sessions_in(whole.spared)


def test_what_is_large_loses_first_what_old_runs_spared_and_then_their_causes() -> None:
    random = Random(4)  # noqa: S311 - the same names every time
    start = a_hostile_entry(random, 0, PLANES["ascii"], "remediation")
    worst = replace(
        a_hostile_entry(random, 1, PLANES["ascii"], "remediation"), before=Usage(99, 99)
    )
    others = [
        replace(a_hostile_entry(random, n, PLANES["ascii"], "remediation"), before=Usage(80, 100))
        for n in range(2, 14)
    ]

    incident = absorbed([replace(start, before=Usage(80, 100)), worst, *others])

    assert [entry for entry in incident.entries if entry.spared] == [incident.entries[-1]]
    assert incident.causes == worst.causes
    assert len(body_of(incident)) <= MOST_BYTES


def test_what_is_too_large_keeps_what_the_latest_look_and_the_latest_run_saw() -> None:
    random = Random(4)  # noqa: S311 - the same names every time
    looks = [a_hostile_entry(random, n, PLANES["any"], "remediation") for n in range(12)]
    latest = replace(
        a_hostile_entry(random, 12, PLANES["any"], "locked_out"),
        terminated=(),
        would_terminate=(),
        spared=(),
    )

    incident = bounded(Incident("orders-prod", "id", (*looks, latest)))

    assert [bool(entry.would_terminate) for entry in incident.entries] == [False] * 11 + [
        True,
        False,
    ]
    assert incident.would_terminate == looks[-1].would_terminate
    assert incident.problems == latest.problems


def test_a_small_incident_is_kept_whole() -> None:
    incident = absorbed(
        an_entry("remediation", minute=n, used=97, spared=(a_group(7),)) for n in range(30)
    )

    assert all(entry.spared for entry in incident.entries)
