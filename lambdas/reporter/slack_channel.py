"""Slack: a bot edits a message per incident and replies in its thread; a webhook gets news."""

from dataclasses import replace

from connection_guard.adapters.channels.channel_secrets import ReadSecret, with_secret
from connection_guard.adapters.channels.slack_bot import edit, post
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.adapters.channels.slack_webhook import post_to_webhook
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.notification.channel.news import state_name
from connection_guard.core.notification.channel.next_call import (
    Alert,
    Detail,
    Edit,
    Post,
    Reply,
    alert_due_at,
    next_call,
    urgency_of,
)
from connection_guard.core.notification.channel.notified import Notified, PostedMessage
from connection_guard.core.notification.channel.storm import (
    Storm,
    StormMember,
    current_storm,
    storm_of,
    with_storm,
)
from connection_guard.core.notification.slack.slack_blocks import Message
from connection_guard.core.notification.slack.slack_details import details_of
from connection_guard.core.notification.slack.slack_message import alert_of, message_of
from connection_guard.core.notification.slack.slack_storm import storm_message_of
from connection_guard.core.notification.slack.slack_thread import thread_of
from connection_guard.core.notification.status import situation_of, status_of
from connection_guard.core.notification.view import View
from reporter.channel import Calls, advanced_by_news

# Slack takes one message per second and channel, and 50 edits per minute and workspace.
# https://docs.slack.dev/apis/web-api/rate-limits
SECONDS_BETWEEN_CALLS = 1.1


class SlackChannel:
    """One workspace, by the secret as it is at each call."""

    name = "slack"
    seconds_between_calls = SECONDS_BETWEEN_CALLS

    def __init__(self, read_secret: ReadSecret[SlackSecret]) -> None:
        self._read_secret = read_secret

    def advance(self, view: View, notified: Notified, calls: Calls) -> Notified:
        """Make the next call; see `next_call`."""

        def advanced(secret: SlackSecret) -> Notified:
            if isinstance(secret, SlackWebhook):
                return advanced_by_news(
                    view,
                    notified,
                    lambda: calls.call(lambda: post_to_webhook(secret, message_of(view))),
                )
            return _advanced(secret, view, notified, calls)

        return with_secret(self._read_secret, advanced)

    def urgency(self, view: View, notified: Notified) -> int:
        """Return that of the next call."""
        return urgency_of(next_call(view.incident, notified, view.at))

    def announce(self, view: View) -> None:
        """Post the incident's message."""

        def posted(secret: SlackSecret) -> None:
            if isinstance(secret, SlackWebhook):
                post_to_webhook(secret, message_of(view))
            else:
                post(secret, _channel_of(view, secret), message_of(view))

        with_secret(self._read_secret, posted)


def _advanced(bot: SlackBot, view: View, notified: Notified, calls: Calls) -> Notified:
    incident = view.incident
    if (
        due := next((each for each in calls.storms if each.is_edit_due(view.at)), None)
    ) is not None:
        _put_summary(bot, due, due, calls, view)
        return notified
    call = next_call(incident, notified, view.at)
    match call:
        case None:
            storm = _up_to_date(view, notified, calls)
            alert_at = alert_due_at(incident, notified, view.at)
            edit_at = storm.edit_due_at if storm else None
            due_at = min(filter(None, (alert_at, edit_at)), default=None)
            return notified.up_to(incident.version, due_at=due_at)
        case Post():
            return _posted(bot, view, notified, calls)
        case Edit():
            return _edited(bot, view, notified, calls)
    message = notified.message
    assert message is not None, "next_call posts it first"

    def reply(content: Message, *, to_all: bool = False) -> PostedMessage:
        thread = message.thread or message.timestamp
        return calls.call(lambda: post(bot, message.channel, content, thread, to_all=to_all))

    match call:
        case Alert():
            # In a storm, the summary says how many databases need action.
            reply(alert_of(view), to_all=message.thread is None)
            return notified.with_news(state_name(incident), view.at)
        case Detail():
            details = notified.details
            if details is not None:
                known = details
                details = calls.call(lambda: edit(bot, known, details_of(view)))
            return replace(
                notified,
                details=details or reply(details_of(view)),
                detailed=incident.version,
            )
        case Reply(entry):
            reply(thread_of(entry, view.links))
            known_entries = {each.request_id for each in incident.entries}
            replies = (each for each in notified.replies if each in known_entries)
            return replace(notified, replies=(*replies, entry.request_id))


def _posted(bot: SlackBot, view: View, notified: Notified, calls: Calls) -> Notified:
    channel = _channel_of(view, bot)
    known = current_storm(calls.storms, channel, view.at)
    if known.needs_summary(_waiting_for(view.database, calls), view.at):
        _put_summary(bot, known, known.with_member(_member_of(view)), calls, view)
        return notified
    summary = known.message
    message = calls.call(
        lambda: (
            post(bot, summary.channel, message_of(view), summary.timestamp)
            if summary
            else post(bot, channel, message_of(view))
        )
    )
    storm = known.with_opening(view.database.identifier, view.at)
    storm = storm.with_member(_member_of(view)) if summary else storm
    calls.storms = with_storm(calls.storms, known, storm)
    shown = replace(
        notified,
        message=message,
        shown=view.incident.version,
        details=None,
        detailed=0,
        replies=(),
    )
    return shown.with_news(state_name(view.incident), view.at)


def _edited(bot: SlackBot, view: View, notified: Notified, calls: Calls) -> Notified:
    message = notified.message
    assert message is not None, "next_call posts it first"
    edited = calls.call(lambda: edit(bot, message, message_of(view)))
    if edited is None:  # it was deleted: the next call posts it
        return replace(notified, message=None)
    if (storm := storm_of(calls.storms, message)) is not None:
        calls.storms = with_storm(calls.storms, storm, storm.with_member(_member_of(view)))
    shown = replace(notified, shown=view.incident.version)
    if view.incident.action_required is None:
        # Nobody is notified of an edit, so it puts off no alert.
        return shown.with_news(state_name(view.incident), notified.news_at or view.at)
    return shown


def _put_summary(bot: SlackBot, known: Storm, storm: Storm, calls: Calls, view: View) -> None:
    """Post or edit the summary of the storm, which is `known` so far."""
    summary, posted = storm_message_of(storm.members), storm.message
    message = None if posted is None else calls.call(lambda: edit(bot, posted, summary))
    if message is None:
        message = calls.call(lambda: post(bot, storm.channel, summary))
    calls.storms = with_storm(calls.storms, known, storm.with_summary(message, view.at))
    calls.keep()  # another run would post a second summary


def _waiting_for(database: WatchedDatabase, calls: Calls) -> set[str]:
    """Return the databases that wait for their first message in the same channel."""
    others = {
        each.identifier for each in calls.waiting if each.slack_channel == database.slack_channel
    }
    return {database.identifier, *others}


def _up_to_date(view: View, notified: Notified, calls: Calls) -> Storm | None:
    """Return the storm that the incident is in, None for none, with the incident as its message
    shows it: a run that died may not have written that.
    """
    known = storm_of(calls.storms, notified.message)
    storm = known and known.with_member(_member_of(view))
    if known and storm and storm != known:
        calls.storms = with_storm(calls.storms, known, storm)
        calls.keep()
    return storm


def _channel_of(view: View, bot: SlackBot) -> str:
    return view.database.slack_channel or bot.channel


def _member_of(view: View) -> StormMember:
    return StormMember(
        view.database.identifier,
        status_of(view.incident).value,
        situation_of(view.incident),
    )
