"""What is worth a notification: what people do not know yet, per channel."""

from dataclasses import replace

from connection_guard.core.incident.entry import Entry
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.progress import Progress
from connection_guard.core.policy import Tier
from connection_guard.core.report.kind import Kind

# The prefix of the names of news, among everything that an incident remembers as notified.
SNS = "sns: "


def news_of(incident: Incident) -> str | None:
    """Return a name for what the readers of e-mail have to know, who get each message separately,
    None for nothing; a name that they do not know yet is news.

    News is that an incident opened, became critical, requires action (for a further reason) or no
    longer does, or closed, or that an alarm fired again after its OK. The name stays the same while
    nothing of that changes, however many runs there are.
    """
    if not incident.matters:
        return None
    # Names are stored. Their words stay, so that an update during an incident notifies nobody
    # twice.
    severity = "critical" if incident.tier is Tier.CRITICAL else "not critical"
    match incident.progress:
        case Progress.CLOSED:
            state = "over"
        case Progress.ESCALATED:
            state = f"{severity}, people are needed for {len(incident.reasons)} reasons"
        case Progress.RECOVERING if incident.needs_no_more_action:
            state = f"{severity}, people are no longer needed"
        case _:
            state = severity
    return f"{SNS}{state}, {incident.recurrences} times anew"


def is_news_to_webhook(incident: Incident) -> bool:
    """Return whether the incident differs from the one that people were notified of: a webhook's
    message cannot be edited.
    """
    known = tuple(entry for entry in incident.entries if entry.request_id in incident.notified)
    if not known:
        return True
    then = replace(incident, entries=known)
    return any(
        getattr(then, name) != getattr(incident, name)
        for name in ("progress", "tier", "recurrences")
    )


def thread_entries(incident: Incident) -> tuple[Entry, ...]:
    """Return what gets a reply in Slack's thread: every attempt, and each other entry that does not
    only repeat the one before.
    """
    previous = (None, *incident.story[:-1])
    return tuple(
        entry
        for entry, before in zip(incident.story, previous, strict=True)
        if not _is_repeat(entry, before)
    )


def _is_repeat(entry: Entry, before: Entry | None) -> bool:
    return (
        before is not None
        and entry.kind != Kind.REMEDIATION
        and entry.alarm in (None, before.alarm)
        and _gist(entry) == _gist(before)
    )


def _gist(entry: Entry) -> tuple[object, ...]:
    """Return what an entry says, except for its figures."""
    return entry.kind, entry.reason, entry.has_recovered, entry.is_below_target
