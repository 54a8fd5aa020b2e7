"""What is kept when the stack is deleted, and how it is encrypted."""

import json

from connection_guard.core.incident.item import (
    DUE_AT,
    EXPIRY,
    KEPT_FOR,
    PARTITION_KEY,
    PENDING,
    PENDING_INDEX,
    PENDING_PROJECTION,
    SORT_KEY,
)
from tests.cdk.deployed import (
    records,
)
from tests.cdk.template import (
    Template,
    synthesized,
)
from tests.support.configurations import (
    ACCOUNT,
    REGION,
    a_configuration,
    a_target,
)

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"


def test_incidents_and_evidence_outlive_the_stack_and_never_collide_with_those_of_another(
    template: Template,
) -> None:
    table, bucket = records(template)
    [closed_to_all_but_tls] = template.of("AWS::S3::BucketPolicy")
    for name in (table, bucket, closed_to_all_but_tls):
        assert template.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert template.resources[name]["UpdateReplacePolicy"] == "Retain"
    assert "TableName" not in template.of("AWS::DynamoDB::Table")[table]
    assert "BucketName" not in template.of("AWS::S3::Bucket")[bucket]


def test_what_outlives_the_stack_can_be_read_without_its_key(template: Template) -> None:
    [key] = template.of("AWS::KMS::Key")
    assert template.resources[key]["DeletionPolicy"] == "Delete"
    for name in records(template):
        assert key not in json.dumps(template.resources[name])


def test_the_table_is_the_one_that_the_reporter_writes_to(template: Template) -> None:
    [table] = template.of("AWS::DynamoDB::Table").values()
    assert table["KeySchema"] == [
        {"AttributeName": PARTITION_KEY, "KeyType": "HASH"},
        {"AttributeName": SORT_KEY, "KeyType": "RANGE"},
    ]
    assert {each["AttributeType"] for each in table["AttributeDefinitions"]} == {"S"}
    [pending] = table["GlobalSecondaryIndexes"]
    assert pending == {
        "IndexName": PENDING_INDEX,
        "KeySchema": [
            {"AttributeName": PENDING, "KeyType": "HASH"},
            {"AttributeName": DUE_AT, "KeyType": "RANGE"},
        ],
        "Projection": {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": list(PENDING_PROJECTION),
        },
    }
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRY, "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_evidence_is_private_encrypted_and_kept_as_long_as_its_incident(template: Template) -> None:
    [bucket] = template.of("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    [encryption] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [rule] = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["ExpirationInDays"] == KEPT_FOR.days
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] <= KEPT_FOR.days
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] <= 7
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_a_key_of_the_customers_own_encrypts_logs_incidents_evidence_and_environments() -> None:
    deployed = synthesized(a_configuration(target=a_target(kms_key=KEY)))
    assert {each["KmsKeyId"] for each in deployed.of("AWS::Logs::LogGroup").values()} == {KEY}
    functions = deployed.of("AWS::Lambda::Function")
    assert {each["KmsKeyArn"] for each in functions.values()} == {KEY}
    [table] = deployed.of("AWS::DynamoDB::Table").values()
    assert table["SSESpecification"] == {
        "KMSMasterKeyId": KEY,
        "SSEEnabled": True,
        "SSEType": "KMS",
    }
    [bucket] = deployed.of("AWS::S3::Bucket").values()
    [encryption] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": KEY,
    }
    assert encryption["BucketKeyEnabled"]

    used = {
        deployed.role_of(name): {
            action
            for each in deployed.statements()
            if each.holder == deployed.role_of(name) and KEY in each.resources
            for action in each.actions
        }
        for name in functions
    }
    decrypts, uses = sorted(used.values(), key=len)
    assert decrypts == {"kms:Decrypt"}  # the responder, its environment
    assert uses == {
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    }


def test_without_a_key_of_the_customers_own_nothing_names_one(smallest: Template) -> None:
    assert not [each for each in smallest.of("AWS::Logs::LogGroup").values() if "KmsKeyId" in each]
    assert not [
        each for each in smallest.of("AWS::Lambda::Function").values() if "KmsKeyArn" in each
    ]
    [table] = smallest.of("AWS::DynamoDB::Table").values()
    assert "SSESpecification" not in table
