"""The records that outlive the stack: incidents in a table, evidence in a bucket."""

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

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
from connection_guard_cdk.described.own_table import check_table

# `cdk destroy` and a replacement keep both; a first deployment that fails leaves neither behind.
KEEP = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


class Records(Construct):
    """`table` holds the incidents, `bucket` the evidence; `pending_index` is the ARN of the table's
    index of those that people are yet to be notified of.

    Their names are generated, so that a stack that is deployed again does not collide with the
    records that an earlier one left. Neither is encrypted with the key of the topics, which is
    deleted with the stack and would leave them unreadable: `key` is the customer's, None where
    AWS's own keys are used.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        key: kms.IKey | None,
        table: dynamodb.ITable | None = None,
        bucket: s3.IBucket | None = None,
    ) -> None:
        super().__init__(scope, identifier)
        if table is not None:
            check_table(table)
        self.table = table or self._new_table(key)
        self.pending_index = f"{self.table.table_arn}/index/{PENDING_INDEX}"
        self.bucket = bucket or self._new_bucket(key)
        # Those of what was brought along.
        self.own_keys = [each.encryption_key for each in (table, bucket) if each is not None]

    def _new_table(self, key: kms.IKey | None) -> dynamodb.Table:
        # There is no deletion protection, since it would block the rollback of a first deployment:
        # DynamoDB keeps a last backup of a table with point-in-time recovery for 35 days after its
        # deletion.
        table = dynamodb.Table(
            self,
            "Incidents",
            partition_key=dynamodb.Attribute(
                name=PARTITION_KEY, type=dynamodb.AttributeType.STRING
            ),
            sort_key=dynamodb.Attribute(name=SORT_KEY, type=dynamodb.AttributeType.STRING),
            time_to_live_attribute=EXPIRY,
            encryption_key=key,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=KEEP,
        )
        table.add_global_secondary_index(
            index_name=PENDING_INDEX,
            partition_key=dynamodb.Attribute(name=PENDING, type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name=DUE_AT, type=dynamodb.AttributeType.STRING),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=list(PENDING_PROJECTION),
        )
        return table

    def _new_bucket(self, key: kms.IKey | None) -> s3.Bucket:
        # Evidence does not move to infrequent access: S3 charges for at least 128 KB per object
        # there, and most evidence is smaller.
        bucket = s3.Bucket(
            self,
            "Evidence",
            encryption=s3.BucketEncryption.S3_MANAGED if key is None else s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=None if key is None else True,  # one request to KMS for many objects
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,  # a role that may write evidence may overwrite it: versions stay
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(KEPT_FOR.days),
                    noncurrent_version_expiration=Duration.days(30),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=KEEP,
        )
        assert bucket.policy is not None
        # A bucket that is kept continues to refuse requests without TLS.
        bucket.policy.apply_removal_policy(KEEP)
        Validations.of(bucket).acknowledge(
            Acknowledgment(
                id="AwsSolutions-S1",
                reason="Server access logs need a second bucket that outlives the stack, too. Only "
                "the reporter writes here; CloudTrail's data events record who reads, where an "
                "account enables them.",
            )
        )
        return bucket
