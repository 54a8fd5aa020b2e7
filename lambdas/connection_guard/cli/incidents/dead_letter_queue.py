"""The dead-letter queue: its messages are held while a person decides, sent again, or deleted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.cli.access.aws_session import aws_problem
from connection_guard.cli.access.deployed_stack import DeployedStack
from connection_guard.cli.incidents.dead_letter import DeadLetter, LetterOutcome
from connection_guard.cli.terminal.mistakes import UserMistakeError, write_problem
from connection_guard.core.words import counted, spelled

# Nobody else gets a message for so long, unless it is released before.
HELD_FOR = timedelta(minutes=10)

# At 256 KB each, that many fit into memory.
MOST_HELD = 1000

# SQS's limit of one request.
MOST_OF_REQUEST = 10

# With a wait, SQS asks all of its servers: without one, it may return nothing of a queue that has
# few messages.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
WAIT_SECONDS = 1

CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard"})

Message = Mapping[str, Any]


class DeadLetterQueue:
    """The queue of what the reporter could not read. Every method raises botocore's errors."""

    def __init__(self, stack: DeployedStack, address: str) -> None:
        self._sqs: Any = stack.session.client("sqs", config=CONFIG)
        self._address = address

    @contextmanager
    def held(self) -> Iterator[dict[str, Message]]:
        """Yield the messages by their IDs, the oldest first, and keep others from getting them
        meanwhile. What is still among them at the end is for everybody again at once.
        """
        held: dict[str, Message] = {}
        try:
            while len(held) < MOST_HELD and (messages := self._receive()):
                held |= {each["MessageId"]: each for each in messages}
            yield held
        finally:
            self._release([each["ReceiptHandle"] for each in held.values()])

    def _receive(self) -> list[Message]:
        answer = self._sqs.receive_message(
            QueueUrl=self._address,
            MaxNumberOfMessages=MOST_OF_REQUEST,
            VisibilityTimeout=int(HELD_FOR.total_seconds()),
            WaitTimeSeconds=WAIT_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        messages: list[Message] = answer.get("Messages", [])
        return messages

    def _release(self, receipts: list[str]) -> None:
        try:
            for start in range(0, len(receipts), MOST_OF_REQUEST):
                some = receipts[start : start + MOST_OF_REQUEST]
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._address,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                        for number, receipt in enumerate(some)
                    ],
                )
        except (BotoCoreError, ClientError) as error:
            write_problem(
                f"{counted(len(receipts), 'message')} of the dead-letter queue can be seen again "
                f"only in {spelled(HELD_FOR)}: {aws_problem(error)}"
            )

    def source(self) -> str:
        """Return the address of the queue that the reporter is invoked from. Raise UserMistakeError
        where it is not known.
        """
        pages = self._sqs.get_paginator("list_dead_letter_source_queues").paginate(
            QueueUrl=self._address
        )
        sources: list[str] = [address for page in pages for address in page.get("queueUrls", [])]
        if len(sources) != 1:
            raise UserMistakeError(
                f"{self._address} is the dead-letter queue of {counted(len(sources), 'queue')}, "
                "not of the reporter's only: run `make deploy`"
            )
        return sources[0]

    def send_again(self, letter: DeadLetter, source: str) -> None:
        """Send the message to the reporter, and only then delete it: it may get there twice, which
        changes nothing, and is never lost.
        """
        self._sqs.send_message(QueueUrl=source, MessageBody=letter.body)
        letter.fate = LetterOutcome.SENT_AND_LEFT
        self._delete(letter)
        letter.fate = LetterOutcome.SENT_AGAIN

    def delete(self, letter: DeadLetter) -> None:
        """Delete the message for good."""
        self._delete(letter)
        letter.fate = LetterOutcome.DELETED

    def _delete(self, letter: DeadLetter) -> None:
        self._sqs.delete_message(QueueUrl=self._address, ReceiptHandle=letter.receipt)
