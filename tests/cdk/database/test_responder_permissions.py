"""What the responder may do."""

import pytest

from tests.cdk.database.stacks_of_one import (
    DATABASES,
    NETWORK_INTERFACES,
    allowed,
    created_proxy_id,
    responder,
    stack_with,
    statements_of,
    the,
    the_invocation,
    user,
)
from tests.cdk.template import (
    referred,
    synthesized,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_configuration,
    a_database,
)


@pytest.mark.parametrize("of", DATABASES)
def test_the_responder_may_log_in_publish_and_log_and_nothing_else(of: str) -> None:
    deployed, database = stack_with(of), DATABASES[of]
    name, function = responder(deployed)
    logins = {user(database.resource_id, "connection_guard")}
    match of:
        case "existing proxy":
            logins.add(user("prx-ORDERS", "connection_guard"))
        case "new proxy with iam":
            logins.add(user(created_proxy_id(deployed), "connection_guard"))
        case "new proxy with secret":
            logins.add(user(created_proxy_id(deployed), "connection_guard_proxy"))
    log_group = referred(function["LoggingConfig"]["LogGroup"])
    [topic_key] = {topic["KmsMasterKeyId"] for topic in deployed.of("AWS::SNS::Topic").values()}
    destinations = the_invocation(deployed)["DestinationConfig"]
    assert allowed(deployed, deployed.role_of(name)) == {
        *(("rds-db:connect", login) for login in logins),
        *(
            ("sns:Publish", destinations[outcome]["Destination"])
            for outcome in ("OnSuccess", "OnFailure")
        ),
        *((action, topic_key) for action in ("kms:Decrypt", "kms:GenerateDataKey")),
        *(
            (action, f"${{{log_group}.Arn}}")
            for action in ("logs:CreateLogStream", "logs:PutLogEvents")
        ),
        *((action, "*") for action in NETWORK_INTERFACES),
    }


@pytest.mark.parametrize("of", DATABASES)
def test_what_lambda_may_do_to_network_interfaces_the_code_may_not(of: str) -> None:
    name, function = responder(stack_with(of))
    denied = [
        each
        for each in statements_of(stack_with(of), stack_with(of).role_of(name))
        if each.effect == "Deny"
    ]
    [only] = denied
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function['FunctionName']}"
    assert only.actions == NETWORK_INTERFACES | {"ec2:DetachNetworkInterface"}
    assert only.resources == {"*"}
    assert only.condition == {"ArnEquals": {"lambda:SourceFunctionArn": arn}}


@pytest.mark.parametrize("of", DATABASES)
def test_roles_have_no_permissions_but_their_own_and_serve_one_service(of: str) -> None:
    deployed = stack_with(of)
    name, _ = responder(deployed)
    serving = {deployed.role_of(name): "lambda.amazonaws.com"}
    if "AWS::RDS::DBProxy" in {each["Type"] for each in deployed.resources.values()}:
        serving[referred(the(deployed, "AWS::RDS::DBProxy")[1]["RoleArn"])] = "rds.amazonaws.com"
    for role, service in serving.items():
        properties = deployed.of("AWS::IAM::Role")[role]
        [trusts] = properties["AssumeRolePolicyDocument"]["Statement"]
        assert trusts == {
            "Action": "sts:AssumeRole",
            "Effect": "Allow",
            "Principal": {"Service": service},
        }
        assert "ManagedPolicyArns" not in properties


def test_the_responder_of_one_database_cannot_log_in_to_another() -> None:
    deployed = synthesized(
        a_configuration(
            a_database(identifier="orders", resource_id="db-ORDERS"),
            a_database(identifier="billing", resource_id="db-BILLING"),
        )
    )
    for database, resource_id in (("orders", "db-ORDERS"), ("billing", "db-BILLING")):
        name, _ = responder(deployed, database)
        actions = allowed(deployed, deployed.role_of(name))
        assert {resource for action, resource in actions if action == "rds-db:connect"} == {
            user(resource_id, "connection_guard")
        }
