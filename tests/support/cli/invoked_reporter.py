"""A server that answers as CloudFormation and Lambda do: what the verb `notify-test` asks."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "of nobody"}

STACK = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeStacksResult><Stacks><member><StackName>Guard</StackName>
<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>
<Outputs><member><OutputKey>{output}</OutputKey><OutputValue>the-reporter</OutputValue></member>
</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""
NO_STACK = """<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error>
<Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id {stack} does not exist
</Message></Error></ErrorResponse>"""


class Aws:
    """Its only stack is called Guard. `answer` is the reporter's, `error` what kind of error Lambda
    says that it is; `invocations` are what it was sent.
    """

    def __init__(self) -> None:
        self.output = "ReporterName"
        self.answer: Any = {}
        self.error: str | None = None
        self.invocations: list[tuple[str, Any]] = []
        self.url = ""

    def stacks(self, request: str) -> tuple[int, Mapping[str, str], str]:
        [stack] = parse_qs(request)["StackName"]
        if stack != "Guard":
            return 400, {}, NO_STACK.format(stack=stack)
        return 200, {}, STACK.format(output=self.output)

    def invoke(self, path: str, request: str) -> tuple[int, Mapping[str, str], str]:
        self.invocations.append((path, json.loads(request)))
        headers = {} if self.error is None else {"X-Amz-Function-Error": self.error}
        return 200, headers, json.dumps(self.answer)


@contextmanager
def invoked_reporter() -> Iterator[Aws]:
    """Yield an account whose stack Guard has a reporter."""
    aws = Aws()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, headers, body = (
                aws.stacks(request) if self.path == "/" else aws.invoke(self.path, request)
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        aws.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield aws
        server.shutdown()
        thread.join()
