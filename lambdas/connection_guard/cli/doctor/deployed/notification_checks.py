"""Who is notified, as checks: subscriptions that are confirmed, and secrets that services take."""

import shlex
from collections.abc import Iterator

from connection_guard.cli.doctor.facts.aws_facts import (
    AwsFacts,
    ChannelAnswer,
    DeployedTopic,
    DescribedStack,
)
from connection_guard.cli.doctor.facts.check import Check, Unknown, finding, ok, unchecked
from connection_guard.configuration.guard.guard_configuration import Configuration, Notifications
from connection_guard.core.deployment.stack_output import StackOutput
from connection_guard.core.words import counted, shown

PEOPLES_TOPICS = {
    StackOutput.INCIDENTS_TOPIC: "incidents topic",
    StackOutput.REPORTER_ALARMS_TOPIC: "reporter's alarms topic",
}


def check_notifications(facts: AwsFacts, configuration: Configuration) -> list[Check]:
    """Return the checks of who is notified."""
    notifications, target = configuration.notifications, configuration.target
    test = f"connection-guard notify-test --stack {target.stack_name} --region {target.region}"
    checks: list[Check] = []
    if isinstance(facts.stack, DescribedStack):
        checks += check_topics(facts.topics, facts.stack, notifications)
    if isinstance(facts.channels, Unknown):
        checks.append(unchecked("channels", facts.channels.why))
    else:
        checks += [check_channel(each, test) for each in facts.channels]
    if notifications.event_bus is not None:
        why = f"only an event shows whether {shown(notifications.event_bus)} takes one"
        checks.append(unchecked("EventBridge", why, test))
    return checks


def check_topics(
    topics: tuple[DeployedTopic, ...] | Unknown, stack: DescribedStack, notifications: Notifications
) -> Iterator[Check]:
    """Yield the checks of the topics: those of people one by one, the guard's own together."""
    if isinstance(topics, Unknown):
        yield unchecked("topics", topics.why)
        return
    of_people = {
        stack.outputs[output]: what
        for output, what in PEOPLES_TOPICS.items()
        if output in stack.outputs
    }
    silent = [each for each in topics if each.arn not in of_people and not each.confirmed]
    for topic in topics:
        if topic.arn in of_people:
            yield check_topic_of_people(topic, of_people[topic.arn], notifications)
    if silent:
        names = ", ".join(shown(each.name) for each in silent)
        detail = f"nothing is subscribed to {names}: what is sent there is lost"
        yield finding("guard's own topics", detail, "make deploy")
    else:
        own = len(topics) - len(of_people)
        yield ok("guard's own topics", f"{counted(own, 'topic')} with subscriptions")


def check_topic_of_people(topic: DeployedTopic, what: str, notifications: Notifications) -> Check:
    """Check that everybody who is named in guard.toml has confirmed."""
    confirmed, pending = len(topic.confirmed), len(topic.pending)
    counts = f"{confirmed} confirmed, {pending} pending"
    missing = [
        email
        for email in notifications.emails
        if email not in topic.confirmed and email not in topic.pending
    ]
    # A further request sends the confirmation again (Amazon SNS API Reference, Subscribe).
    subscribe = [
        f"aws sns subscribe --topic-arn {topic.arn} --protocol email "
        f"--notification-endpoint {shlex.quote(email)}"
        for email in [*topic.pending, *missing]
    ]
    if topic.pending:
        who = ", ".join(map(shown, topic.pending))
        detail = f"{counts}: {who} has to confirm by the link in AWS's e-mail"
        return finding(what, detail, *subscribe)
    if missing:
        who = ", ".join(map(shown, missing))
        return finding(what, f"{counts}: {who} is not subscribed", *subscribe)
    if not confirmed:
        others = (
            notifications.slack_secret
            or notifications.pagerduty_secret
            or notifications.teams_secret
            or notifications.event_bus
        )
        nobody = f"nobody is subscribed to the {what}"
        if others is None or what == PEOPLES_TOPICS[StackOutput.REPORTER_ALARMS_TOPIC]:
            return finding(
                what,
                f"{nobody}, so nobody is notified when it matters",
                f"aws sns subscribe --topic-arn {topic.arn} --protocol email "
                "--notification-endpoint you@example.com",
            )
        return ok(what, f"{nobody}; other channels are notified")
    return ok(what, counts)


def check_channel(channel: ChannelAnswer, test: str) -> Check:
    """Check that the channel's secret is there, is one, and is taken."""
    secret = shlex.quote(channel.secret)
    if channel.problem is not None:
        return finding(
            channel.channel,
            shown(channel.problem),
            f"aws secretsmanager put-secret-value --secret-id {secret} "
            "--secret-string file://secret.json",
        )
    if channel.unknown is not None:
        return unchecked(channel.channel, shown(channel.unknown))
    if channel.answer is None:
        why = f"the secret {channel.secret} is well-formed, but only a message shows if it is taken"
        return unchecked(channel.channel, why, test)
    return ok(channel.channel, f"the token is that of {shown(channel.answer)}")
