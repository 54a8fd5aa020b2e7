"""What Slack shows of an incident first: a message that fits on a phone's screen, and is edited as
the incident goes on.
"""

from connection_guard.core.notification.owner import owner_of
from connection_guard.core.notification.slack.mrkdwn import prose
from connection_guard.core.notification.slack.slack_blocks import (
    MARKS,
    OWNER_MOST,
    SUMMARY_MOST,
    Message,
    buttons,
    section,
    small_print,
)
from connection_guard.core.notification.status import Status, status_of
from connection_guard.core.notification.summary import Summary, summary_of
from connection_guard.core.notification.view import View


def message_of(view: View) -> Message:
    """Return the incident as it is now: what has to be done, why, and what the guard does."""
    summary = summary_of(view)
    first = _first_line(view, summary)
    pages = {
        "Runbook": view.database.runbook,
        "Dashboard": view.links.dashboard,
        "Alarm": view.links.alarm,
    }
    return Message(
        first,
        (
            section(first),
            *(section(f"*{title}*  {prose(text, SUMMARY_MOST)}") for title, text in summary.parts),
            *([small_print(prose(summary.usage, SUMMARY_MOST))] if summary.usage else []),
            *buttons(pages),
        ),
    )


def alert_of(view: View) -> Message:
    """Return a reply that says what has to be done now: nobody is notified of an edit."""
    summary = summary_of(view)
    first = _first_line(view, summary)
    to_do = [section(f"*Do now*  {prose(summary.do_now, SUMMARY_MOST)}")] if summary.do_now else []
    return Message(first, (section(first), *to_do))


def _first_line(view: View, summary: Summary) -> str:
    """Return the summary's first line with its mark, and who is to act."""
    status = status_of(view.incident)
    line = f"{MARKS[status]} {prose(summary.first_line, SUMMARY_MOST)}"
    if status is not Status.ACTION_REQUIRED or summary.owner is None:
        return line
    return f"{line} {_mention(view) or prose(summary.owner, OWNER_MOST)}"


def _mention(view: View) -> str | None:
    """Return what notifies the owner, None where no ID in Slack is known.

    https://docs.slack.dev/messaging/formatting-message-text#mentioning-users
    """
    owner = owner_of(view)
    if owner is None or owner.slack_id is None:
        return None
    prefix = "!subteam^" if owner.slack_id.startswith("S") else "@"
    return f"<{prefix}{owner.slack_id}>"
