"""The Lambda function's entry point: `reporter.handler.lambda_handler`."""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.aws.database_parameters import database_parameters
from connection_guard.adapters.aws.evidence_bucket import EvidenceBucket
from connection_guard.adapters.aws.gather_circumstances import look
from connection_guard.adapters.aws.incident_table import IncidentTable
from connection_guard.adapters.aws.lane_table import LaneTable
from connection_guard.adapters.aws.table import Table
from connection_guard.adapters.aws.unreadable_queue import put_unreadable
from connection_guard.core.deployment.reporter_settings import (
    APPLICATION_OWNERS_FILE,
    ReporterSettings,
    parse_application_owners,
)
from connection_guard.errors import StoreError
from reporter.channels import channels_of
from reporter.notifier import Notifier
from reporter.notify_test import test_channels
from reporter.reporter import Reporter
from reporter.watched_databases import WatchedDatabases
from reporter.world import InvocationContext, World

# A message that something else than a store keeps failing for cannot be read by this version.
MOST_RECEIVES = 5

logger = Logger(service="connection-guard")

_settings = ReporterSettings.from_environment(os.environ)
_application_owners = parse_application_owners(
    (Path(os.environ["LAMBDA_TASK_ROOT"]) / APPLICATION_OWNERS_FILE).read_text()
)
_region = os.environ["AWS_REGION"]
_now = partial(datetime.now, UTC)
_table = Table(_settings.table)
_world = World(
    function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
    bucket=EvidenceBucket(_settings.bucket),
    incidents=IncidentTable(_table),
    lanes=LaneTable(_table),
    databases=WatchedDatabases(partial(database_parameters, _settings.databases_path), _now),
    channels=channels_of(_settings),
    put_unreadable=partial(put_unreadable, _settings.unreadable_queue),
    look=partial(look, reads_deployments=_settings.reads_deployments),
    now=_now,
    sleep=time.sleep,
)
_notifier = Notifier(_settings, _region, _world, _application_owners)
_reporter = Reporter(_settings, _notifier, _world)


def lambda_handler(event: Mapping[str, Any], context: InvocationContext) -> object:
    """Serve the queue's messages, the schedule, and `make notify-test`.

    Raises StoreError: the queue then keeps the message.
    """
    if event.get("notify_test"):
        return test_channels(_notifier, _world.now())
    if "Records" not in event:
        _notifier.notify_pending(context)
        return None
    (record,) = event["Records"]
    try:
        _reporter.serve(record["body"], context)
    except StoreError:
        raise
    except Exception:
        if int(record["attributes"]["ApproximateReceiveCount"]) < MOST_RECEIVES:
            raise
        logger.exception("a message cannot be handled, and goes to the dead-letter queue")
        _world.put_unreadable(record["body"])
    return None
