"""One database of a deployed stack as an operator sees it: its responder's log, its metrics and
alarms, and what the reporter stored.
"""

import gzip
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connection_guard.core.deployment.alarm_names import database_alarm_name
from connection_guard.core.deployment.reporter_settings import (
    databases_path,
    read_watched_database,
)
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import incident_of, latest_key
from connection_guard.core.report.metric_names import NAMESPACE
from doubles.aws.cloudwatch_alarms import state_of
from doubles.aws.cloudwatch_metric_math import MetricStat, Series
from doubles.waiting import wait_until
from tests.e2e.account.emulator import Emulator, FunctionProcess
from tests.e2e.databases import RunningDatabase
from tests.support.builders import a_heartbeat_event

STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
}


class DeployedDatabase:
    """`outputs` are those of the stack, `running` is the database itself, `responder` is the name
    of its function, as the reporter knows it.
    """

    def __init__(
        self,
        emulator: Emulator,
        stack: str,
        outputs: Mapping[str, str],
        running: RunningDatabase,
    ) -> None:
        self._emulator = emulator
        self._stack = stack
        self._table = outputs["IncidentsTable"]
        self._bucket = outputs["EvidenceBucket"]
        self._critical_state = "INSUFFICIENT_DATA"
        self.running = running
        self.name = running.name
        parameters = emulator.client("ssm").get_parameters_by_path(Path=databases_path(stack))
        [self.responder] = [
            watched.function_name
            for each in parameters["Parameters"]
            if (watched := read_watched_database(each["Name"], each["Value"])).identifier
            == running.name
        ]

    def alarm(self, what: str) -> str:
        """Return the name of an alarm on the database, or on its guard."""
        return database_alarm_name(self._stack, self.name, what)

    def process(self) -> FunctionProcess:
        """Return the responder's latest process; the first one is started for the first event."""
        return wait_until(
            lambda: [each for each in self._emulator.processes if each.function == self.responder]
        )[-1]

    def play_heartbeat(self) -> None:
        """Invoke the responder as its schedule does, and return when it has looked."""
        looked_before = len(self._heartbeats())
        self._emulator.client("lambda").invoke(
            FunctionName=self.responder,
            InvocationType="Event",
            Payload=json.dumps(a_heartbeat_event(datetime.now(UTC))),
        )
        wait_until(lambda: len(self._heartbeats()) > looked_before)

    def published(self, name: str, statistic: str = "Maximum") -> Series:
        """Return a metric of the guard's own by minute, as CloudWatch extracts it from the
        responder's log.
        """
        values: dict[int, list[float]] = {}
        for document in self._metric_lines():
            if name in document:
                assert document["_aws"]["CloudWatchMetrics"][0]["Namespace"] == NAMESPACE
                values.setdefault(document["_aws"]["Timestamp"] // 60_000, []).extend(
                    document[name]
                )
        return {minute: STATISTICS[statistic](those) for minute, those in values.items()}

    def seconds_since_heartbeat(self) -> float:
        return time.time() - max(self._heartbeats(), default=0) / 1000

    def _heartbeats(self) -> list[int]:
        """Return when the responder looked at the database, in milliseconds."""
        return [
            document["_aws"]["Timestamp"]
            for document in self._metric_lines()
            if "Usable" in document
        ]

    def _metric_lines(self) -> list[dict[str, Any]]:
        return [
            document
            for document in json_log(self._emulator, self.responder)
            if "_aws" in document and document["Database"] == self.name
        ]

    # CloudWatch's part, which the emulator leaves out for alarms on expressions

    def evaluate_critical_alarm(self) -> str:
        """Return the alarm's state by its own expression in this minute; where it has changed, the
        alarm's actions run.
        """
        cloudwatch = self._emulator.client("cloudwatch")
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[self.alarm("critical")])["MetricAlarms"]
        state = state_of(alarm, self._measured, int(time.time()) // 60, self._critical_state)
        if state != self._critical_state:
            self.set_critical_alarm(state)
        return state

    def set_critical_alarm(self, state: str) -> None:
        """Change the alarm to this state, which runs its actions."""
        self.set_alarm("critical", state)
        self._critical_state = state

    def set_alarm(self, what: str, state: str) -> None:
        """Change an alarm on the database, or on its guard, to this state."""
        self._emulator.client("cloudwatch").set_alarm_state(
            AlarmName=self.alarm(what),
            StateValue=state,
            StateReason="the end-to-end test's own evaluation",
        )

    def _measured(self, metric: MetricStat) -> Series:
        match metric:
            case MetricStat("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": self.name}):
                return {int(time.time()) // 60: float(self.running.count_connections())}
            case MetricStat("ConnectionGuard", name, {"Database": self.name}):
                return self.published(name, metric.statistic)
        raise AssertionError(f"no double publishes {metric}")

    # What the reporter stored

    def reports(self) -> list[dict[str, Any]]:
        """Return the Reports in the evidence bucket, the oldest first."""
        return [json.loads(body) for body in self._objects(f"reports/database={self.name}/")]

    def reports_of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [report for report in self.reports() if report["kind"] == kind]

    def failures(self) -> list[dict[str, Any]]:
        """Return Lambda's records of the invocations that ended without a Report."""
        return [json.loads(body) for body in self._objects(f"failures/{self.responder}/")]

    def sessions_in_evidence(self) -> list[dict[str, Any]]:
        """Return every line of the evidence."""
        objects = self._objects(f"evidence/database={self.name}/")
        return [json.loads(line) for body in objects for line in gzip.decompress(body).splitlines()]

    def incident(self) -> Incident | None:
        """Return the latest incident, None where there is none."""
        return latest_incident(self._emulator, self._table, self.name)

    def _objects(self, prefix: str) -> list[bytes]:
        s3 = self._emulator.client("s3")
        listed = s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix).get("Contents", [])
        return [
            s3.get_object(Bucket=self._bucket, Key=each["Key"])["Body"].read() for each in listed
        ]


def latest_incident(emulator: Emulator, table: str, database: str) -> Incident | None:
    """Return the latest incident of any database, None where there is none."""
    key = {name: {"S": value} for name, value in latest_key(database).items()}
    answer = emulator.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
    return incident_of(answer["Item"]["body"]["B"]) if "Item" in answer else None


def json_log(emulator: Emulator, function: str) -> list[dict[str, Any]]:
    """Return each JSON line of the log that the function writes to, the oldest first."""
    configuration = emulator.client("lambda").get_function_configuration(FunctionName=function)
    group = configuration["LoggingConfig"]["LogGroup"]
    pages = emulator.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    messages = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(message) for message in messages if message.startswith("{")]
