"""The Lambda function's entry point: `reporter.handler.lambda_handler`."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.adapters.aws.store import Store
from connection_guard.adapters.channels.incidents_topic import sns_client
from connection_guard.adapters.channels.slack_secret import read_slack_secret
from connection_guard.core.deployment.reporter_settings import (
    WATCHED_FILE,
    ReporterSettings,
    read_watched,
)
from connection_guard.core.notification.slack.guard_alarm import comes_from
from reporter.guard_alarms import notify_of_guard_alarm
from reporter.reporter import Reporter
from reporter.world import InvocationContext, World

_settings = ReporterSettings.from_environment(os.environ)
_watched = read_watched((Path(os.environ["LAMBDA_TASK_ROOT"]) / WATCHED_FILE).read_text())
_world = World(
    store=Store(_settings),
    sns=sns_client(),
    slack_secret=partial(read_slack_secret, _settings.slack_secret)
    if _settings.slack_secret
    else None,
    look=look,
    now=partial(datetime.now, UTC),
)

_region = os.environ["AWS_REGION"]
_databases = {database.function_name: database for database in _watched.databases}
_report = Reporter(_settings, _databases, _region, _world)


def lambda_handler(event: Mapping[str, Any], context: InvocationContext) -> None:
    """Serve what the responders publish, and alarms about the guard itself, which come from the
    topic that the reporter publishes to.
    """
    if comes_from(event, _settings.incidents_topic):
        function = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        notify_of_guard_alarm(
            event, slack_secret=_world.slack_secret, region=_region, function=function
        )
    else:
        _report(event, context)
