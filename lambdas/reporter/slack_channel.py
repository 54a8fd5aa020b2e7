"""Slack: a bot edits a message per incident and replies in its thread; a webhook gets news."""

from dataclasses import replace

from connection_guard.adapters.channels.channel_secrets import ReadSecret, with_secret
from connection_guard.adapters.channels.slack_bot import edit, post
from connection_guard.adapters.channels.slack_secret import SlackBot, SlackSecret, SlackWebhook
from connection_guard.adapters.channels.slack_webhook import post_to_webhook
from connection_guard.core.deployment.reporter_settings import WatchedDatabase
from connection_guard.core.incident.progress import Progress
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
from connection_guard.core.notification.channel.storm import Storm, StormMember
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
    storm = _storm_of(_channel_of(view, bot), calls)
    if storm.is_edit_due(view.at):
        _put_summary(bot, storm, calls, view)
        return notified
    call = next_call(incident, notified, view.at)
    match call:
        case None:
            storm = _up_to_date(storm, view, notified, calls)
            alert_at = alert_due_at(incident, notified, view.at)
            due = filter(None, (alert_at, storm.edit_due_at))
            return notified.up_to(incident.version, due_at=min(due, default=None))
        case Post():
            return _posted(bot, view, notified, calls)
        case Edit():
            return _edited(bot, view, notified, calls)
    message = notified.message
    assert message is not None, "next_call posts it first"

    def reply(content: Message) -> PostedMessage:
        thread = message.thread or message.timestamp
        return calls.call(lambda: post(bot, message.channel, content, thread))

    match call:
        case Alert():
            reply(alert_of(view))
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
    storm = _storm_of(channel, calls)
    if storm.needs_summary(_waiting_for(view.database, calls), view.at):
        _put_summary(bot, storm.with_member(_member_of(view)), calls, view)
        return notified
    thread = storm.message.timestamp if storm.message else None
    message = calls.call(lambda: post(bot, channel, message_of(view), thread))
    storm = storm.with_opening(view.database.identifier, view.at)
    _keep(storm.with_member(_member_of(view)) if storm.message else storm, calls)
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
    storm = _storm_of(_channel_of(view, bot), calls)
    if storm.message is not None and message.thread == storm.message.timestamp:
        _keep(storm.with_member(_member_of(view)), calls)
    shown = replace(notified, shown=view.incident.version)
    if view.incident.action_required is None:
        # Nobody is notified of an edit, so it puts off no alert.
        return shown.with_news(state_name(view.incident), notified.news_at or view.at)
    return shown


def _put_summary(bot: SlackBot, storm: Storm, calls: Calls, view: View) -> None:
    summary, known = storm_message_of(storm.members), storm.message
    message = None if known is None else calls.call(lambda: edit(bot, known, summary))
    if message is None:
        message = calls.call(lambda: post(bot, storm.channel, summary))
    _keep(storm.with_summary(message, view.at), calls)
    calls.keep()  # another run would post a second summary


def _waiting_for(database: WatchedDatabase, calls: Calls) -> set[str]:
    """Return the databases that wait for their first message in the same channel."""
    others = {
        each.identifier for each in calls.waiting if each.slack_channel == database.slack_channel
    }
    return {database.identifier, *others}


def _up_to_date(storm: Storm, view: View, notified: Notified, calls: Calls) -> Storm:
    """Return the storm with the incident as its message shows it, where it is one of its members: a
    run that died may not have written it.
    """
    thread = notified.message.thread if notified.message else None
    if storm.message is None or thread != storm.message.timestamp:
        return storm
    known = storm.with_member(_member_of(view))
    if known != storm:
        _keep(known, calls)
        calls.keep()
    return known


def _channel_of(view: View, bot: SlackBot) -> str:
    return view.database.slack_channel or bot.channel


def _storm_of(channel: str, calls: Calls) -> Storm:
    return next((each for each in calls.storms if each.channel == channel), Storm(channel))


def _keep(storm: Storm, calls: Calls) -> None:
    others = (each for each in calls.storms if each.channel != storm.channel)
    calls.storms = (*others, storm)


def _member_of(view: View) -> StormMember:
    return StormMember(
        view.database.identifier,
        status_of(view.incident).value,
        situation_of(view.incident),
        has_ended=view.incident.progress is Progress.CLOSED,
    )
