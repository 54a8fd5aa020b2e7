"""Answers of AWS that the emulator does not give by itself."""

import json
from collections import deque
from io import BytesIO
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber


class Refusals:
    """Comes between a client and the emulator: lets the next requests of one operation be refused,
    and counts all of them.
    """

    def __init__(self, client: Any, service: str, operation: str) -> None:
        self.requests = 0
        self._answers: deque[AWSResponse] = deque()
        self._operation = f"before-send.{service}.{operation}"
        client.meta.events.unregister("before-send", botocore_stubber)
        client.meta.events.register("before-send", self._answer)

    def add(self, *codes: str, status: int = 400, **fields: Any) -> None:
        """Refuse a request with each of the codes, as DynamoDB and SQS do."""
        for code in codes:
            body = json.dumps({"__type": f"com.amazonaws#{code}", "message": code, **fields})
            self._answers.append(an_answer(status, body))

    def add_xml(self, *codes: str, status: int) -> None:
        """Refuse a request with each of the codes, as S3 does."""
        for code in codes:
            body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
            self._answers.append(an_answer(status, body))

    def _answer(self, event_name: str, request: Any, **options: Any) -> Any:
        if event_name == self._operation:
            self.requests += 1
            if self._answers:
                return self._answers.popleft()
        return botocore_stubber(event_name, request, **options)


def an_answer(status: int, body: str) -> AWSResponse:
    raw: Any = BytesIO(body.encode())
    raw.stream = lambda: iter([raw.read()])
    return AWSResponse("https://aws.test", status, HTTPHeaders(), raw)
