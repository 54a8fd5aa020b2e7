"""What outlives the stack: incidents in a table, evidence in a bucket."""

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from connection_guard.core.incident.item import EXPIRY, KEPT_FOR, PARTITION_KEY, SORT_KEY

# `cdk destroy` and a replacement keep both; a first deployment that fails leaves nothing behind.
KEEP = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


class Records(Construct):
    """`table` holds the incidents, `bucket` the evidence.

    Their names are generated, so that a stack that is deployed again does not meet what an earlier
    one left. Neither is encrypted with the key of the topics, which goes with the stack and would
    make them unreadable: `key` is the customer's, None where AWS's own serve.
    """

    def __init__(self, scope: Construct, identifier: str, key: kms.IKey | None) -> None:
        super().__init__(scope, identifier)
        # Without deletion protection, over which the rollback of a first deployment would stumble:
        # DynamoDB keeps a last backup of a table with point-in-time recovery for 35 days after its
        # deletion.
        self.table = dynamodb.Table(
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
        # No move to infrequent access: S3 charges for at least 128 KB an object there, and evidence
        # is mostly smaller.
        self.bucket = s3.Bucket(
            self,
            "Evidence",
            encryption=s3.BucketEncryption.S3_MANAGED if key is None else s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=None if key is None else True,  # one request to KMS for many objects
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,  # whoever may write evidence may write over it: the first version stays
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(KEPT_FOR.days),
                    noncurrent_version_expiration=Duration.days(30),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=KEEP,
        )
        assert self.bucket.policy is not None
        self.bucket.policy.apply_removal_policy(
            KEEP
        )  # a bucket that is kept stays closed to what is not TLS
        Validations.of(self.bucket).acknowledge(
            Acknowledgment(
                id="AwsSolutions-S1",
                reason="Server access logs need a second bucket that outlives the stack, too. Only "
                "the reporter writes here; who reads is for CloudTrail's data events to record, "
                "where an account wants them.",
            )
        )
