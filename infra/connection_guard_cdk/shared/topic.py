"""The kind of SNS topic that carries everything here."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct


class EncryptedTopic(sns.Topic):
    """A topic under a key, which accepts messages only over TLS.

    Its grant to publish names the two actions on the key that publishing takes, without the CDK's
    wildcard.
    """

    def __init__(self, scope: Construct, identifier: str, key: kms.IKey) -> None:
        super().__init__(scope, identifier, master_key=key, enforce_ssl=True)

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        assert self.master_key is not None
        on_key = self.master_key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["sns:Publish"], resource_arns=[self.topic_arn]
        ).combine(on_key)
