"""What is true of every permission in the stack."""

import json
from collections.abc import Iterator

from tests.cdk.deployed import (
    NOT_OVER_TLS,
    records,
)
from tests.cdk.template import (
    Statement,
    Template,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
)


def test_nothing_is_sent_unencrypted(template: Template) -> None:
    refusals = {
        ("AWS::SNS::Topic", "sns:Publish", "${{{}}}"),
        ("AWS::SQS::Queue", "sqs:SendMessage", "${{{}.Arn}}"),
        ("AWS::S3::Bucket", "s3:PutObject", "${{{}.Arn}}/*"),
    }
    for resource_type, action, pattern in refusals:
        assert template.of(resource_type)
        for name in template.of(resource_type):
            assert any(
                each.effect == "Deny"
                and each.principals == {"*"}
                and each.names(action)
                and pattern.format(name) in each.resources
                and each.condition == NOT_OVER_TLS
                for each in template.statements()
                if each.holder == name
            )


def wildcards(statement: Statement) -> Iterator[tuple[str, str]]:
    for action in statement.actions:
        for resource in statement.resources:
            if any(sign in action + resource for sign in "*?"):
                yield action, resource


def test_every_wildcard_in_what_is_allowed_is_one_of_these(
    template: Template, reporter: str
) -> None:
    [key] = template.of("AWS::KMS::Key")
    _, bucket = records(template)
    network_interfaces = {
        (action, "*")
        for action in (
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        )
    }  # Lambda's own, denied to the code
    known = {
        key: {
            ("kms:*", "*"),  # the account: its IAM policies decide
            ("kms:Decrypt", "*"),  # in a key policy "*" is the key
            ("kms:GenerateDataKey*", "*"),  # as AWS documents it for CloudWatch
        },
        template.role_of(reporter): {
            ("s3:PutObject", f"${{{bucket}.Arn}}/*"),
            *(
                (
                    "secretsmanager:GetSecretValue",
                    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:guard/{channel}-??????",
                )
                for channel in ("slack", "pagerduty", "teams")
            ),
            ("rds:DescribeEvents", "*"),  # none of them knows resource-level permissions
            ("cloudwatch:GetMetricData", "*"),
            ("cloudtrail:LookupEvents", "*"),
        },
    } | {
        template.role_of(function): network_interfaces
        for function, properties in template.of("AWS::Lambda::Function").items()
        if "VpcConfig" in properties
    }
    for statement in template.statements():
        if statement.effect == "Allow":
            assert set(wildcards(statement)) <= known.get(statement.holder, set()), statement
            assert "*" not in statement.principals, statement


def test_no_role_has_a_managed_policy(template: Template) -> None:
    assert not [
        role for role, each in template.of("AWS::IAM::Role").items() if "ManagedPolicyArns" in each
    ]
    assert not template.of("AWS::IAM::ManagedPolicy")


def test_no_secret_is_in_the_template(template: Template) -> None:
    assert "{{resolve:" not in json.dumps(template.resources)
    assert not template.of("AWS::SecretsManager::Secret")
