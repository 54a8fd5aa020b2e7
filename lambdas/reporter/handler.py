"""Where Lambda enters: `reporter.handler.lambda_handler`."""

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from connection_guard.adapters.context import look
from connection_guard.adapters.notification import sns_client
from connection_guard.adapters.slack import read_slack_secret
from connection_guard.adapters.store import Store
from connection_guard.core.reporter_settings import DATABASES_FILE, ReporterSettings, read_databases
from reporter.report import Reporter, World

_settings = ReporterSettings.from_environment(os.environ)
_databases = read_databases((Path(os.environ["LAMBDA_TASK_ROOT"]) / DATABASES_FILE).read_text())
_world = World(
    store=Store(_settings),
    sns=sns_client(),
    slack_secret=partial(read_slack_secret, _settings.slack_secret) if _settings.slack_secret else None,
    look=look,
    now=partial(datetime.now, UTC),
)

lambda_handler = Reporter(
    _settings, {database.function_name: database for database in _databases}, os.environ["AWS_REGION"], _world
)
