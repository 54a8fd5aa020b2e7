"""The Lambda function's entry point: `reporter.handler.lambda_handler`."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.adapters.aws.sns import sns_client
from connection_guard.adapters.aws.store import Store
from connection_guard.adapters.slack.secret import read_slack_secret
from connection_guard.core.deployment.reporter_settings import (
    DATABASES_FILE,
    ReporterSettings,
    read_databases,
)
from connection_guard.core.notification.guard_alarm import comes_from
from reporter.guard_alarms import notify_of_guard_alarm
from reporter.reporter import Reporter
from reporter.world import InvocationContext, World

_settings = ReporterSettings.from_environment(os.environ)
_databases = read_databases((Path(os.environ["LAMBDA_TASK_ROOT"]) / DATABASES_FILE).read_text())
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
_report = Reporter(
    _settings, {database.function_name: database for database in _databases}, _region, _world
)


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
