"""A deployed stack in an emulated account, which the command reaches over HTTP as it reaches AWS.

The same stores are used by the reporter's own code in the test's process.
"""

import io
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from zipfile import ZipFile

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from connection_guard.core.deployment.reporter_settings import ReporterSettings, WatchedDatabase
from connection_guard.core.deployment.stack_output import StackOutput
from tests.support.emulated_account import (
    BUCKET,
    DATABASES_PATH,
    LOG_GROUP,
    REGION,
    TABLE,
    put_databases,
)

STACK = "Guard"
REPORTER = "the-reporter"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class DeployedAccount:
    """Where the stack Guard is deployed, for the databases by their responders.

    `refused` are the actions, such as "SQS.DeleteMessage", that AWS refuses, each with the error's
    code, `allowed_before` how many calls of it are answered before. `meanwhile` is what happens
    while an action is asked for, which then takes a second. `requests` are the actions so far.
    """

    def __init__(self, responders: dict[str, str], **settings: Any) -> None:
        self.url = ""
        self.refused: dict[str, str] = {}
        self.allowed_before: dict[str, int] = {}
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.requests: list[str] = []
        self.sqs: Any = boto3.client("sqs")
        self.unreadable = self._queue("unreadable", {})
        arn = self._attributes(self.unreadable)["QueueArn"]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 1000}
        self.main = self._queue("main", {"RedrivePolicy": json.dumps(policy)})
        facts = {"table": TABLE, "bucket": BUCKET, "incidents_topic": "arn", "dashboard": STACK}
        facts |= {"databases_path": DATABASES_PATH, "log_group": LOG_GROUP}
        self.settings = ReporterSettings(
            **{**facts, "unreadable_queue": self.unreadable, "slack_secret": "slack", **settings}
        )
        _create_reporter(self.settings.to_environment())
        _create_stack()
        put_databases(*(WatchedDatabase(name, False, of) for name, of in responders.items()))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that is to use the account."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION}

    def put_aside(self, *bodies: str) -> None:
        """Put messages into the dead-letter queue."""
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.unreadable, MessageBody=body)

    def bodies_in(self, queue: str) -> list[str]:
        """Return what anybody could receive from the queue now, and leave it there."""
        found: dict[str, str] = {}
        while messages := self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=60
        ).get("Messages"):
            for each in messages:
                found[each["ReceiptHandle"]] = each["Body"]
        for receipt in found:
            self.sqs.change_message_visibility(
                QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=0
            )
        return sorted(found.values())

    def _queue(self, name: str, attributes: dict[str, str]) -> str:
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def _attributes(self, queue: str) -> dict[str, str]:
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        return dict(answer["Attributes"])

    def serve(self, environ: Environ, answer: StartResponse, moto: Any) -> Iterable[bytes]:
        """Answer a request as moto does, or refuse it."""
        action = _action_of(environ)
        self.requests.append(action)
        if action in self.meanwhile:
            self.meanwhile[action]()
            time.sleep(1)
        asked = self.requests.count(action)
        code = self.refused.get(action)
        if code is None or asked <= self.allowed_before.get(action, 0):
            passed: Iterable[bytes] = moto(environ, answer)
            return passed
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        said = f"User: arn:aws:iam::123456789012:user/jo is not authorized to perform: {action}"
        if action.startswith("S3."):
            answer("403 Forbidden", [("Content-Type", "application/xml")])
            return [f"<Error><Code>{code}</Code><Message>Access Denied</Message></Error>".encode()]
        answer("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
        return [json.dumps({"__type": f"com.amazonaws#{code}", "message": said}).encode()]


@contextmanager
def deployed_account(responders: dict[str, str], **settings: Any) -> Iterator[DeployedAccount]:
    """Yield the stack in the account that is emulated already."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    account = DeployedAccount(responders, **settings)
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1",
        0,
        lambda environ, answer: account.serve(environ, answer, moto),
        threaded=True,
    )
    account.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _action_of(environ: Environ) -> str:
    """Return the service and its action, as far as a request's headers name them."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        service, _, action = target.partition(".")
        return f"{service.removeprefix('Amazon').partition('_')[0]}.{action}"
    if environ["PATH_INFO"].startswith("/2015-03-31/functions/"):
        return "Lambda.GetFunctionConfiguration"
    return f"S3.{environ['REQUEST_METHOD']}"


def _create_reporter(variables: dict[str, str]) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    role = boto3.client("iam").create_role(
        RoleName="reporter", AssumeRolePolicyDocument=json.dumps(policy)
    )["Role"]["Arn"]
    package = io.BytesIO()
    with ZipFile(package, "w") as packed:
        packed.writestr("handler.py", "")
    boto3.client("lambda", region_name=REGION).create_function(
        FunctionName=REPORTER,
        Role=role,
        Handler="handler.lambda_handler",
        Runtime="python3.13",
        Code={"ZipFile": package.getvalue()},
        Environment={"Variables": variables},
    )


def _create_stack() -> None:
    outputs = {StackOutput.REPORTER: {"Value": REPORTER}}
    resources = {"Alarms": {"Type": "AWS::SNS::Topic"}}
    boto3.client("cloudformation", region_name=REGION).create_stack(
        StackName=STACK, TemplateBody=json.dumps({"Resources": resources, "Outputs": outputs})
    )
