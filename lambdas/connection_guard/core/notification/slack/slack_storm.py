"""What a channel shows when many databases fail at once: one message, with a line per database."""

from collections.abc import Sequence

from connection_guard.core.notification.channel.storm import StormMember
from connection_guard.core.notification.slack.mrkdwn import code, lines_that_fit, prose
from connection_guard.core.notification.slack.slack_blocks import MARKS, Message, section
from connection_guard.core.notification.status import Status
from connection_guard.core.words import counted

# Slack cuts a section at 3,000 characters.
LIST_MOST = 2_800
NAME_MOST = 63
LINE_MOST = 120

# What requires action comes first, what has ended last.
_ORDER = {status.value: number for number, status in enumerate(Status)}


def storm_message_of(members: Sequence[StormMember]) -> Message:
    """Return how many databases fail and need action, and each of them in a line, as far as they
    fit.
    """
    first = _first_line(members)
    worst_first = sorted(members, key=lambda each: (_ORDER.get(each.status, 0), each.database))
    lines = lines_that_fit(map(_line, worst_first), LIST_MOST)
    rest = len(members) - len(lines)
    shown = [*lines, *([f"… and {rest} more"] if rest else [])]
    return Message(first, (section(first), *([section("\n".join(shown))] if shown else [])))


def _first_line(members: Sequence[StormMember]) -> str:
    ended = sum(each.has_ended for each in members)
    to_act = sum(each.status == Status.ACTION_REQUIRED for each in members)
    failing = len(members) - ended
    if not failing:
        return f"{MARKS[Status.RESOLVED]} {counted(ended, 'database')} recovered"
    mark = MARKS[Status.ACTION_REQUIRED if to_act else Status.CRITICAL]
    have = "has an incident" if failing == 1 else "have incidents"
    need = "needs" if to_act == 1 else "need"
    action = f"{to_act} {need} action" if to_act else "none needs action"
    failure = f"{mark} {counted(failing, 'database')} {have}; {action}"
    return f"{failure}, {ended} recovered" if ended else failure


def _line(member: StormMember) -> str:
    mark = MARKS[Status(member.status)] if member.status in _ORDER else MARKS[Status.INCIDENT]
    return f"{mark} {code(member.database, NAME_MOST)} {prose(member.line, LINE_MOST)}"
