"""What the demo claims, checked from outside: against the applications, the superuser's view of
the server, and the policy.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from connection_guard.core.incident.entry import Usage
from connection_guard.core.incident.progress import Progress
from connection_guard.core.notification.slack.slack_blocks import MARKS
from connection_guard.core.notification.status import Status, of
from connection_guard.core.policy import Policy
from demo.applications import RunningApplication, must_go
from demo.database import USABLE, SeenSession
from demo.local_reporter import LocalReporter

# Literals of what the clients in demo/leaky_clients.py run last, and how they may be shown.
MASKED = {
    "pg_sleep(600)": "pg_sleep(?)",
    "total / 0": "total / ?",
    "total + 1": "total + ?",
    "id = 42": "id = ?",
}
# What exhausts the connections here, and by which application; the first takes the most of them.
CAUSES = [("leak", "checkout"), ("idle in transaction", "invoices")]
# https://www.postgresql.org/docs/current/errcodes-appendix.html
TOO_MANY_CONNECTIONS = "53300"

Seen = Mapping[int, SeenSession]


class Claim(NamedTuple):
    """What the demo claims, whether it is true, and what to report where it is not."""

    text: str
    is_true: bool
    otherwise: str


@dataclass(frozen=True, slots=True)
class Observations:
    """What the demo saw from outside, and what the guard says.

    `before` and `after` are the sessions around the run that terminates, `recovered` those after
    the alarm's end. `refusal` has the fields of the server's error, `answer` is what the new client
    got later. `page` shows the conversation in Slack.
    """

    policy: Policy
    running: Sequence[RunningApplication]
    observer_pid: int
    refusal: Mapping[str, str]
    before: Seen
    after: Seen
    recovered: Seen
    answer: int
    report: Mapping[str, Any]
    reporter: LocalReporter
    page: str


def claims_about(observed: Observations) -> Iterator[Claim]:
    """Yield every claim. The busy pool ends its work meanwhile."""
    yield _refusal_claim(observed.refusal)
    yield from _session_claims(observed)
    yield from _report_claims(observed)
    yield _cause_claim(observed.report)
    yield _target_claim(observed)
    yield _healthy_pool_claim(observed.running)
    yield Claim(
        "the same new client was served", observed.answer == 1, f"SELECT 1 gave {observed.answer}"
    )
    yield _slack_claim(observed.reporter)
    yield _usage_claim(observed)
    yield _terminated_claim(observed)
    yield _email_claim(observed.reporter)
    yield _secrecy_claim(observed)


def listed(pids: Iterable[int]) -> str:
    """Return the pids in order, in one line."""
    return " ".join(str(pid) for pid in sorted(pids))


def _refusal_claim(refusal: Mapping[str, str]) -> Claim:
    refused = "the full database refused a new client with SQLSTATE"
    return Claim(
        f"{refused} {TOO_MANY_CONNECTIONS}",
        refusal["C"] == TOO_MANY_CONNECTIONS,
        f"{refused} {refusal['C']}, not {TOO_MANY_CONNECTIONS}",
    )


def _session_claims(observed: Observations) -> Iterator[Claim]:
    """Compare with the pids that the applications know; a pid with another backend_start is another
    session.
    """
    opened = {pid for each in observed.running for pid in each.pids} | {observed.observer_pid}
    to_go = must_go(observed.running)
    before, after = observed.before, observed.after
    remaining = {
        pid
        for pid, seen in before.items()
        if pid in after and after[pid].backend_start == seen.backend_start
    }
    yield Claim(
        f"before, there were exactly the {len(opened)} sessions that were opened here",
        set(before) == opened,
        f"before, there were other sessions than those opened here: {listed(set(before) ^ opened)}",
    )
    yield Claim(
        f"all {len(to_go)} listed sessions are gone",
        not to_go & remaining,
        f"listed but still there: {listed(to_go & remaining)}",
    )
    yield Claim(
        f"all {len(opened - to_go)} others are still there, each the very same session",
        opened - to_go <= remaining,
        f"not listed but gone: {listed(opened - to_go - remaining)}",
    )


def _report_claims(observed: Observations) -> Iterator[Claim]:
    report, to_go = observed.report, must_go(observed.running)
    terminated = {row["pid"] for row in report["terminated"]}
    yield Claim(
        "the report names exactly the listed sessions as terminated",
        terminated == to_go,
        f"the report's terminated sessions and the list differ by {listed(terminated ^ to_go)}",
    )
    counted = report["before"]["used"], report["after"]["used"]
    seen = len(observed.before) + 1, len(observed.after)
    yield Claim(
        f"the report counts the sessions that were seen here: {seen[0]} before, with the guard's "
        f"own, and {seen[1]} after",
        counted == seen,
        f"the report counts {counted[0]} sessions before and {counted[1]} after; {seen[0]} and "
        f"{seen[1]} were seen",
    )


def _cause_claim(report: Mapping[str, Any]) -> Claim:
    named = [
        (diagnosis["cause"], diagnosis["evidence"].get("application"))
        for diagnosis in report["diagnoses"]
    ]
    return Claim(
        "the report names the causes that were made here, the main one first: "
        f"{_causes_in_words(CAUSES)}",
        named == CAUSES,
        f"the report names these causes: {_causes_in_words(named)}; those made here are "
        f"{_causes_in_words(CAUSES)}",
    )


def _target_claim(observed: Observations) -> Claim:
    target = observed.policy.limits.target_percent
    used = len(observed.after)
    share = 100 * used / USABLE
    return Claim(
        f"{used} of {USABLE} connections are in use ({share:.1f} %), below the policy's target of "
        f"{target:g} %",
        share < target,
        f"{used} of {USABLE} connections are still in use, not below {target:g} %",
    )


def _healthy_pool_claim(running: Sequence[RunningApplication]) -> Claim:
    [healthy] = [each for each in running if each.application.state is None]
    work = healthy.finish_work()
    return Claim(
        f"the busy pool ran {work['statements']:,} statements meanwhile without an error",
        work["statements"] > 0 and not work["errors"],
        f"the busy pool ran {work['statements']} statements and met errors: {work['errors'][:1]}",
    )


def _slack_claim(reporter: LocalReporter) -> Claim:
    message = reporter.posted
    is_green = message.text.startswith(MARKS[Status.RESOLVED])
    in_channel, replies = len(reporter.slack.channel_view), len(reporter.slack.thread_of(message))
    return Claim(
        f"Slack has one message, edited in place, {replies} replies in its thread, and its mark is "
        "green in the end",
        in_channel == 1 and bool(message.edits) and replies > 0 and is_green,
        f"Slack has {in_channel} messages; the first was edited {len(message.edits)} times, has "
        f"{replies} replies and is now: {message.text}",
    )


def _usage_claim(observed: Observations) -> Claim:
    [fields] = [block["fields"] for block in observed.reporter.details.blocks if "fields" in block]
    shown = "\n".join(field["text"] for field in fields)
    latest = observed.reporter.incidents[-1]["usage"]
    published = [latest["first"]["used"], latest["latest"]["used"]]
    seen = [len(observed.before) + 1, len(observed.recovered)]
    before, now = (of(Usage(used, USABLE)) for used in seen)
    return Claim(
        f"Slack shows {before} and now {now} connections in use, and the incident {seen[0]} and "
        f"{seen[1]}, as seen here",
        f"\n{before}" in shown and f"→ {now}" in shown and published == seen,
        f"Slack shows {shown!r} and the incident {published}; {seen} were seen",
    )


def _terminated_claim(observed: Observations) -> Claim:
    gone = {
        each.application.name: count
        for each in observed.running
        if (count := len(set(each.must_go) - set(observed.recovered)))
    }
    published = {
        group["application"]: group["sessions"]
        for group in observed.reporter.incidents[-1]["terminated"]
    }
    texts = [block["text"]["text"] for block in observed.reporter.details.blocks if "text" in block]
    lines = [line for text in texts for line in text.split("\n")]
    missing = [
        application
        for application, count in gone.items()
        if not any(re.search(rf"\b{count} of .*`{application}`", line) for line in lines)
    ]
    return Claim(
        f"the incident names the applications that lost {sum(gone.values())} sessions, and no "
        "others; Slack shows each with its count",
        published == gone and not missing,
        f"the incident names {published} as terminated, and Slack does not show {missing}; {gone} "
        "are gone",
    )


def _email_claim(reporter: LocalReporter) -> Claim:
    progress = [incident["progress"] for incident in reporter.incidents]
    return Claim(
        "there were two e-mails: one when the incident began, one when it was resolved",
        progress == [Progress.RECOVERING, Progress.CLOSED],
        f"the incident was {progress} when e-mails were sent",
    )


def _secrecy_claim(observed: Observations) -> Claim:
    everything = observed.page + observed.reporter.everything_shown
    exposed = [text for text in (observed.reporter.token, *MASKED) if text in everything]
    missing = [text for text in MASKED.values() if text not in everything]
    return Claim(
        "the page, the messages, the evidence and the log show queries without their literals, and "
        "no token",
        not exposed and not missing,
        f"shown although secret: {exposed}; missing although it may be shown: {missing}",
    )


def _causes_in_words(causes: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{cause} ({application})" for cause, application in causes) or "none"
