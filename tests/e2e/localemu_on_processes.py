"""LocalEmu on loopback; Lambda functions run as local processes under the real runtime client
instead of in Docker.

`emulator.py` runs this inside LocalEmu's own environment, with LocalEmu's settings and these:

    LAMBDA_PYTHON     the interpreter that runs functions
    LAMBDA_ENDPOINT   the URL at which functions reach AWS
    LAMBDA_AUTHORITY  the certificate that signs for it
    LAMBDA_PROCESSES  a file that gets a line of JSON per process of a function:
                      see `emulator.FunctionProcess`

It leads a process group that ends when its standard input does, so it never outlives its starter.
"""

import json
import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from localemu.runtime.main import main
from localemu.services.cloudformation.engine.v2.change_set_model_preproc import (
    DeletionPolicy,
    PreprocResource,
)
from localemu.services.cloudformation.resource_provider import OperationStatus, ProgressEvent
from localemu.services.cloudformation.resource_providers import aws_cloudformation_stack
from localemu.services.iam_enforcement import arn_builder, evaluator, service_action_map
from localemu.services.lambda_.invocation.execution_environment import (
    ExecutionEnvironment as LambdaEnvironment,
)
from localemu.services.lambda_.invocation.lambda_models import InvocationResult
from localemu.services.lambda_.invocation.plugins import DockerRuntimeExecutorPlugin
from localemu.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from twisted.internet import endpoints

from doubles.aws.lambda_runtime import ExecutionEnvironment

# What only LocalEmu's own containers need, or what is true only there.
NOT_FOR_PROCESSES = {"AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}

_write_lock = threading.Lock()


class ProcessExecutor(RuntimeExecutor):  # type: ignore[misc] # LocalEmu has no types
    """One execution environment; as in Lambda, its process is replaced once it has ended."""

    _environment: ExecutionEnvironment | None = None
    _variables: dict[str, str]

    def start(self, env_vars: dict[str, Any]) -> None:
        endpoint, authority = os.environ["LAMBDA_ENDPOINT"], os.environ["LAMBDA_AUTHORITY"]
        self._variables = {
            **{
                name: str(value)
                for name, value in env_vars.items()
                if name not in NOT_FOR_PROCESSES
            },
            "AWS_CA_BUNDLE": authority,
            "AWS_ENDPOINT_URL": endpoint,
        }
        self._launch()

    def _launch(self) -> ExecutionEnvironment:
        config = self.function_version.config
        config.code.prepare_for_execution()
        self._environment = ExecutionEnvironment(
            Path(config.code.get_unzipped_code_location()),
            config.handler,
            self._variables,
            python=os.environ["LAMBDA_PYTHON"],
        )
        process = {
            "function": self.function_version.id.function_name,
            "pid": self._environment.pid,
            "role": config.role,
            "access_key": self._variables["AWS_ACCESS_KEY_ID"],
            "secret_key": self._variables["AWS_SECRET_ACCESS_KEY"],
            "session_token": self._variables["AWS_SESSION_TOKEN"],
        }
        with _write_lock, Path(os.environ["LAMBDA_PROCESSES"]).open("a") as file:
            file.write(json.dumps(process) + "\n")
        return self._environment

    def stop(self) -> None:
        if self._environment is not None:
            self._environment.stop()

    def invoke(
        self, payload: dict[str, str], function_timeout: int | None = None
    ) -> InvocationResult:
        assert self._environment is not None
        assert function_timeout is not None
        environment = self._environment
        if environment.has_ended:
            environment.stop()
            environment = self._launch()
        request_id = payload["invoke-id"]
        answer = environment.invoke(
            json.loads(payload["payload"]),
            function_timeout,
            request_id=request_id,
            function_arn=payload["invoked-function-arn"],
        )
        log = f"START RequestId: {request_id}\n{answer.log}END RequestId: {request_id}\n"
        name = self.function_version.id.function_name
        sys.stdout.write("".join(f"[{name}] {line}\n" for line in log.splitlines()))
        return InvocationResult(
            request_id, json.dumps(answer.payload).encode(), is_error=answer.is_error, logs=log
        )

    def get_logs(self) -> str:
        return ""  # `invoke` has returned them all

    # Addresses that only containers use

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return "http://127.0.0.1"

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Do nothing: its package is removed with the emulator's folder."""


def end_with_standard_input() -> None:
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)  # the functions' processes as well


def listen_on_loopback() -> None:
    """Make LocalEmu listen on loopback: it uses only the port of GATEWAY_LISTEN."""
    everywhere = endpoints.TCP4ServerEndpoint

    def on_loopback(reactor: Any, port: int, **options: Any) -> Any:
        return everywhere(reactor, port, interface="127.0.0.1", **options)

    endpoints.TCP4ServerEndpoint = on_loopback


def take_numbers_in_conditions() -> None:
    """Read {"s3:TlsVersion": 1.2}, which the CDK writes, as "1.2", as IAM does; LocalEmu fails."""
    matches = evaluator.matches_conditions

    def matches_with_text(statement: dict[str, Any], context: dict[str, Any]) -> bool:
        conditions = {
            operator: {
                key: str(value) if isinstance(value, float) else value
                for key, value in keys.items()
            }
            for operator, keys in (statement.get("Condition") or {}).items()
        }
        return bool(matches({**statement, "Condition": conditions}, context))

    evaluator.matches_conditions = matches_with_text


def keep_what_is_to_be_retained() -> None:
    """Make LocalEmu treat the deletion policy RetainExceptOnCreate as Retain."""
    initialize = PreprocResource.__init__

    def initialize_retained(resource: PreprocResource, *arguments: Any, **options: Any) -> None:
        initialize(resource, *arguments, **options)
        if resource.deletion_policy == DeletionPolicy.RetainExceptOnCreate:
            resource.deletion_policy = DeletionPolicy.Retain

    PreprocResource.__init__ = initialize_retained


def update_nested_stacks() -> None:
    """Update a nested stack by a change set; LocalEmu says that it did, and does nothing."""

    def update(_provider: Any, request: Any) -> ProgressEvent:
        cloudformation = request.aws_client_factory.cloudformation
        model = {**request.previous_state, **request.desired_state}
        stack = model["Id"]
        change_set = cloudformation.create_change_set(
            StackName=stack,
            ChangeSetName=f"update-{uuid.uuid4()}",
            TemplateURL=model["TemplateURL"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": str(value)}
                for name, value in model.get("Parameters", {}).items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )["Id"]

        def described() -> dict[str, Any]:
            return dict(cloudformation.describe_stacks(StackName=stack)["Stacks"][0])

        def status(of_what: str) -> str:
            return str(cloudformation.describe_change_set(ChangeSetName=change_set)[of_what])

        if status("Status") == "CREATE_COMPLETE":  # otherwise nothing has changed
            cloudformation.execute_change_set(ChangeSetName=change_set)
            # It becomes the stack's when everything is done, the outputs included.
            while described().get("ChangeSetId") != change_set:
                assert status("ExecutionStatus") != "EXECUTE_FAILED", f"{stack} cannot be updated"
                time.sleep(0.1)
        outputs = described().get("Outputs", [])
        model["Outputs"] = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    aws_cloudformation_stack.CloudFormationStackProvider.update = update


def log_to_the_configured_group() -> None:
    """Write a function's log to the group of its logging configuration, which may be shared."""
    LambdaEnvironment.get_log_group_name = lambda environment: (
        environment.function_version.config.logging_config["LogGroup"]
    )


def judge_transactions_and_indexes_by_their_own_names() -> None:
    """Ask for the action of each item of a transaction on its own table, and for a query on its
    index, as IAM does; LocalEmu would ask for all actions on every table, and not for the index.

    The only transactions here are updates of one table.
    """
    service_action_map.ACTION_MAP["dynamodb", "TransactWriteItems"] = ["dynamodb:UpdateItem"]
    arn_of_table = arn_builder._SERVICE_ARN_BUILDERS["dynamodb"]

    def arn_of_item_or_index(parameters: dict[str, Any], region: str, account: str) -> str:
        items = parameters.get("TransactItems") or [{"Update": parameters}]
        table = str(arn_of_table(items[0].get("Update", {}), region, account))
        index = parameters.get("IndexName")
        return table if index is None else f"{table}/index/{index}"

    arn_builder._SERVICE_ARN_BUILDERS["dynamodb"] = arn_of_item_or_index


def know_parameters_by_their_path() -> None:
    """Ask for permission on the path where parameters are read by path; LocalEmu would ask for it
    on all of them.
    """
    arn_of_parameter = arn_builder._SERVICE_ARN_BUILDERS["ssm"]

    def arn_of_path(parameters: dict[str, Any], region: str, account: str) -> str:
        name = parameters.get("Name", parameters.get("Path", "*"))
        return str(arn_of_parameter({"Name": name}, region, account))

    arn_builder._SERVICE_ARN_BUILDERS["ssm"] = arn_of_path


def know_secrets_by_their_whole_names() -> None:
    """End the ARN of each secret with six random characters, as Secrets Manager does, also where a
    secret is asked for by name.
    """
    arn_of_secret = arn_builder._SERVICE_ARN_BUILDERS["secretsmanager"]

    def arn_with_ending(parameters: dict[str, Any], region: str, account: str) -> str:
        arn = str(arn_of_secret(parameters, region, account))
        return arn if str(parameters.get("SecretId")).startswith("arn:") else f"{arn}-AbCdEf"

    arn_builder._SERVICE_ARN_BUILDERS["secretsmanager"] = arn_with_ending


if __name__ == "__main__":
    DockerRuntimeExecutorPlugin.load = lambda *_arguments, **_options: ProcessExecutor
    listen_on_loopback()
    take_numbers_in_conditions()
    keep_what_is_to_be_retained()
    update_nested_stacks()
    log_to_the_configured_group()
    judge_transactions_and_indexes_by_their_own_names()
    know_parameters_by_their_path()
    know_secrets_by_their_whole_names()
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    main()
