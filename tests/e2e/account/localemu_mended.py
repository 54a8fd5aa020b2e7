"""LocalEmu where it is not like AWS in what the deployed guard needs."""

import copy
import json
import time
import uuid
from typing import Any

from localemu.services.cloudformation.engine.v2.change_set_model_preproc import (
    DeletionPolicy,
    PreprocResource,
)
from localemu.services.cloudformation.resource_provider import OperationStatus, ProgressEvent
from localemu.services.cloudformation.resource_providers import aws_cloudformation_stack
from localemu.services.cloudwatch import provider_v2 as cloudwatch
from localemu.services.iam_enforcement import arn_builder, evaluator, service_action_map
from localemu.services.lambda_.invocation.execution_environment import ExecutionEnvironment


def mend() -> None:
    """Make LocalEmu like AWS, before it starts."""
    take_numbers_in_conditions()
    keep_what_is_to_be_retained()
    update_nested_stacks()
    log_to_the_configured_group()
    name_the_metrics_of_expressions()
    judge_transactions_and_indexes_by_their_own_names()
    know_parameters_by_their_path()
    know_secrets_by_their_whole_names()


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
    ExecutionEnvironment.get_log_group_name = lambda environment: (
        environment.function_version.config.logging_config["LogGroup"]
    )


def name_the_metrics_of_expressions() -> None:
    """Name an alarm's metrics in its notification as CloudWatch does, also where it is on an
    expression; LocalEmu leaves them out.
    """
    message_of = cloudwatch.create_message_response_update_state_sns

    def message_with_metrics(alarm: Any, state_before: str) -> str:
        message = json.loads(message_of(alarm, state_before))
        queries = copy.deepcopy(alarm.alarm.get("Metrics") or [])
        for query in queries:
            metric = query.get("MetricStat", {}).get("Metric", {})
            metric["Dimensions"] = [
                {"name": each["Name"], "value": each["Value"]}
                for each in metric.get("Dimensions", [])
            ]
        if queries:
            message["Trigger"]["Metrics"] = queries
        return json.dumps(message)

    cloudwatch.create_message_response_update_state_sns = message_with_metrics


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
