"""The deployed guard as an operator sees it: its logs, metrics, alarms and stored objects."""

import gzip
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from connection_guard.core.deployment.alarm_names import database_alarm_name
from connection_guard.core.incident.incident import Incident
from connection_guard.core.incident.item import incident_of, latest_key
from connection_guard.core.report.metric_names import NAMESPACE
from doubles.aws.cloudwatch_alarms import state_of
from doubles.aws.cloudwatch_metric_math import MetricStat, Series
from doubles.waiting import wait_until
from tests.e2e.deployment import STACK
from tests.e2e.emulator import Emulator, FunctionProcess

DATABASE = "orders"
CRITICAL_ALARM = database_alarm_name(STACK, DATABASE, "critical")
STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
}


class DeployedGuard:
    """`outputs` are the stack's; `count_connections` is what RDS would publish as
    DatabaseConnections.
    """

    def __init__(
        self, emulator: Emulator, outputs: Mapping[str, str], count_connections: Callable[[], int]
    ) -> None:
        self._emulator = emulator
        self._count_connections = count_connections
        self._critical_state = "INSUFFICIENT_DATA"
        functions = emulator.client("lambda").list_functions()["Functions"]
        by_handler = {function["Handler"].partition(".")[0]: function for function in functions}
        self.responder = by_handler["responder"]["FunctionName"]
        self._logs = {
            function: details["LoggingConfig"]["LogGroup"]
            for function, details in by_handler.items()
        }
        self.table = outputs["IncidentsTable"]
        self.bucket = outputs["EvidenceBucket"]
        self.incidents_topic = outputs["IncidentsTopic"]
        self.queue, self._unreadable = self._queues()

    def _queues(self) -> tuple[str, str]:
        """Return the address of the reporter's queue, and of the one for what it cannot read."""
        (mapping,) = self._emulator.client("lambda").list_event_source_mappings()[
            "EventSourceMappings"
        ]
        sqs = self._emulator.client("sqs")
        name = mapping["EventSourceArn"].rpartition(":")[2]
        queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
        policy = json.loads(attributes["Attributes"]["RedrivePolicy"])
        unreadable = policy["deadLetterTargetArn"].rpartition(":")[2]
        return queue, sqs.get_queue_url(QueueName=unreadable)["QueueUrl"]

    # What the functions wrote

    def log(self, function: str) -> list[dict[str, Any]]:
        """Return each JSON line that the "responder" or "reporter" logged, the oldest first."""
        logs = self._emulator.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=self._logs[function])
        messages = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(message) for message in messages if message.startswith("{")]

    def published(self, name: str, statistic: str = "Maximum") -> Series:
        """Return a metric of the guard's own by minute, as CloudWatch extracts it from the
        responder's log.
        """
        values: dict[int, list[float]] = {}
        for document in self.log("responder"):
            if "_aws" in document and name in document:
                assert document["_aws"]["CloudWatchMetrics"][0]["Namespace"] == NAMESPACE
                assert document["Database"] == DATABASE
                values.setdefault(document["_aws"]["Timestamp"] // 60_000, []).extend(
                    document[name]
                )
        return {minute: STATISTICS[statistic](those) for minute, those in values.items()}

    def seconds_since_heartbeat(self) -> float:
        stamps = [
            document["_aws"]["Timestamp"]
            for document in self.log("responder")
            if "Heartbeat" in document
        ]
        return time.time() - max(stamps, default=0) / 1000

    def responder_process(self) -> FunctionProcess:
        """Return the latest process; the first one is started for the first event."""
        return wait_until(
            lambda: [each for each in self._emulator.processes if each.function == self.responder]
        )[-1]

    # CloudWatch's part, which the emulator leaves out for alarms on expressions

    def evaluate_critical_alarm(self) -> str:
        """Return the alarm's state by its own expression in this minute; where it has changed, the
        alarm's actions run.
        """
        cloudwatch = self._emulator.client("cloudwatch")
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[CRITICAL_ALARM])["MetricAlarms"]
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
            AlarmName=database_alarm_name(STACK, DATABASE, what),
            StateValue=state,
            StateReason="the end-to-end test's own evaluation",
        )

    def _measured(self, metric: MetricStat) -> Series:
        match metric:
            case MetricStat("AWS/RDS", "DatabaseConnections", {"DBInstanceIdentifier": "orders"}):
                return {int(time.time()) // 60: float(self._count_connections())}
            case MetricStat("ConnectionGuard", name, {"Database": "orders"}):
                return self.published(name, metric.statistic)
        raise AssertionError(f"no double publishes {metric}")

    # What the reporter stored

    def reports(self) -> list[dict[str, Any]]:
        """Return the Reports in the evidence bucket, the oldest first."""
        return [json.loads(body) for body in self._objects(f"reports/database={DATABASE}/")]

    def reports_of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [report for report in self.reports() if report["kind"] == kind]

    def failures(self) -> list[dict[str, Any]]:
        """Return Lambda's records of the invocations that ended without a Report."""
        return [json.loads(body) for body in self._objects(f"failures/{self.responder}/")]

    def sessions_in_evidence(self) -> list[dict[str, Any]]:
        """Return every line of the evidence."""
        objects = self._objects(f"evidence/database={DATABASE}/")
        return [json.loads(line) for body in objects for line in gzip.decompress(body).splitlines()]

    def incident(self) -> Incident | None:
        """Return the latest incident."""
        return self.incident_of(DATABASE)

    def incident_of(self, database: str) -> Incident | None:
        """Return the latest incident of any database, None where there is none."""
        key = {name: {"S": value} for name, value in latest_key(database).items()}
        answer = self._emulator.client("dynamodb").get_item(
            TableName=self.table, Key=key, ConsistentRead=True
        )
        return incident_of(answer["Item"]["body"]["B"]) if "Item" in answer else None

    def take_unreadable(self) -> str | None:
        """Return a message that the reporter could not read, None where there is none."""
        answer = self._emulator.client("sqs").receive_message(QueueUrl=self._unreadable)
        return next((str(each["Body"]) for each in answer.get("Messages", [])), None)

    def _objects(self, prefix: str) -> list[bytes]:
        s3 = self._emulator.client("s3")
        listed = s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [
            s3.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read() for each in listed
        ]
