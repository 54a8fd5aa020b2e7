"""A deployed stack as an operator sees it: its databases, its reporter and that one's queues."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.e2e.account.emulator import Emulator
from tests.e2e.databases import RunningDatabase
from tests.e2e.deployed_database import DeployedDatabase, json_log


class DeployedGuard:
    """`outputs` are the stack's; it guards `databases`."""

    def __init__(
        self,
        emulator: Emulator,
        stack: str,
        outputs: Mapping[str, str],
        databases: Iterable[RunningDatabase],
    ) -> None:
        self._emulator = emulator
        self.stack = stack
        self.table = outputs["IncidentsTable"]
        self.bucket = outputs["EvidenceBucket"]
        self.incidents_topic = outputs["IncidentsTopic"]
        self.reporter = outputs["ReporterName"]
        self.databases = {
            database.name: DeployedDatabase(emulator, stack, outputs, database)
            for database in databases
        }
        self.queue, self._unreadable = self._queues()

    def _queues(self) -> tuple[str, str]:
        """Return the address of the reporter's queue, and of the one for what it cannot read."""
        (mapping,) = self._emulator.client("lambda").list_event_source_mappings(
            FunctionName=self.reporter
        )["EventSourceMappings"]
        sqs = self._emulator.client("sqs")
        name = mapping["EventSourceArn"].rpartition(":")[2]
        queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
        policy = json.loads(attributes["Attributes"]["RedrivePolicy"])
        unreadable = policy["deadLetterTargetArn"].rpartition(":")[2]
        return queue, sqs.get_queue_url(QueueName=unreadable)["QueueUrl"]

    def reporter_log(self) -> list[dict[str, Any]]:
        """Return each JSON line that the reporter logged, the oldest first."""
        return json_log(self._emulator, self.reporter)

    def take_unreadable(self) -> str | None:
        """Return a message that the reporter could not read, None where there is none."""
        answer = self._emulator.client("sqs").receive_message(QueueUrl=self._unreadable)
        return next((str(each["Body"]) for each in answer.get("Messages", [])), None)
