"""A database of the CDK, guarded."""

from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard_cdk import ConnectionGuard

app = App()
shop = Stack(app, "Shop")
orders = rds.DatabaseInstance(
    shop,
    "Orders",
    engine=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_16),
    vpc=ec2.Vpc(shop, "Vpc"),
    iam_authentication=True,
)
ConnectionGuard(shop, "Guard", emails=["platform@example.com"]).watch(orders)
app.synth()
