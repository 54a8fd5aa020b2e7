"""What the thread in Slack shows of one run: a reply to the incident's message."""

from connection_guard.core.incident.entry import GUARD_ALARM, Entry
from connection_guard.core.notification.links import Links
from connection_guard.core.notification.slack.mrkdwn import code, link, prose
from connection_guard.core.notification.slack.slack_blocks import (
    LINE_MOST,
    MARKS,
    TEXT_MOST,
    Message,
    more,
    section,
    small_print,
    terminated,
    would_terminate,
)
from connection_guard.core.notification.status import Status, what_to_do
from connection_guard.core.policy import Tier

PART_MOST = 800


def thread_of(entry: Entry, links: Links) -> Message:
    """Return one run of the responder, its failure, or an alarm about the guard, in short."""
    number = f"Attempt {entry.attempt}, " if entry.attempt else ""
    to_do = what_to_do(entry)
    lines = (
        f"*Action required*: {prose(to_do, LINE_MOST)}" if to_do else None,
        terminated(entry.terminated, PART_MOST, has_unknown_outcomes=entry.has_unknown_outcomes),
        would_terminate(entry.would_terminate, PART_MOST),
        f"{entry.survived} survived termination" if entry.survived else None,
        *(f"Problem: {prose(problem, LINE_MOST)}" for problem in entry.problems[:1]),
        more(entry.problems[1:], "problem"),
    )
    shown = [line for line in lines if line]
    what = "change" if entry.kind == GUARD_ALARM else "run"
    footer = [link(links.logs, "Logs"), f"{what} {code(entry.request_id)}"]
    if entry.evidence:
        footer.append(f"evidence {code(entry.evidence, 500)}")
    mark, said = MARKS[_status(entry)], prose(entry.headline, TEXT_MOST)
    first = f"{mark} *{number}{entry.at:%H:%M:%S} UTC* {said}"
    return Message(first, (section("\n".join([first, *shown])), small_print(" · ".join(footer))))


def _status(entry: Entry) -> Status:
    if entry.escalation:
        return Status.ACTION_REQUIRED
    if entry.has_recovered or entry.kind == GUARD_ALARM:
        return Status.RESOLVED
    if entry.is_below_target:
        return Status.RECOVERING
    return Status.WARNING if entry.tier is Tier.WARNING else Status.CRITICAL
