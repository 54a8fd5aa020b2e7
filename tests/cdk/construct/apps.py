"""Apps of other people, whose databases are guarded."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds

from connection_guard.core.deployment.responder_settings import (
    ENVIRONMENT_VARIABLE,
    ResponderSettings,
)
from connection_guard_cdk import ConnectionGuard
from tests.cdk.template import CONTEXT, Template

POSTGRES = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_16)
AURORA = rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.VER_16_4)
PORT = 6543  # in place of one that is known only at deployment


def an_app(folder: Path) -> App:
    """Return an app whose functions are built where all tests build them."""
    return App(outdir=str(folder), context=CONTEXT, analytics_reporting=False)


def a_guard(stack: Stack, name: str = "Guard", **options: Any) -> ConnectionGuard:
    """Return a guard that notifies one address."""
    return ConnectionGuard(stack, name, **{"emails": ["on-call@example.com"], **options})


def an_instance(stack: Stack, name: str = "Orders", **options: Any) -> rds.DatabaseInstance:
    """Return an instance that takes IAM tokens, in a VPC of its own unless one is given."""
    facts: dict[str, Any] = {
        "engine": POSTGRES,
        "iam_authentication": True,
        "instance_type": ec2.InstanceType("m7g.large"),
    }
    if "vpc" not in options:
        facts["vpc"] = ec2.Vpc(stack, f"{name}Vpc", nat_gateways=0)
        facts["vpc_subnets"] = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    return rds.DatabaseInstance(stack, name, **(facts | options))


def a_cluster(stack: Stack, name: str = "Payments", **options: Any) -> rds.DatabaseCluster:
    """Return a cluster with a provisioned writer and a smaller reader."""
    facts: dict[str, Any] = {
        "engine": AURORA,
        "iam_authentication": True,
        "writer": rds.ClusterInstance.provisioned(
            "writer", instance_type=ec2.InstanceType("r6g.large")
        ),
        "readers": [
            rds.ClusterInstance.provisioned("reader", instance_type=ec2.InstanceType("t4g.medium"))
        ],
    }
    if "vpc" not in options:
        facts["vpc"] = ec2.Vpc(stack, f"{name}Vpc", nat_gateways=0)
        facts["vpc_subnets"] = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    return rds.DatabaseCluster(stack, name, **(facts | options))


def an_imported_instance(stack: Stack, **options: Any) -> rds.IDatabaseInstance:
    """Return the instance "ledger", which exists already."""
    facts: dict[str, Any] = {
        "instance_identifier": "ledger",
        "instance_endpoint_address": "ledger.c0ffee.eu-central-1.rds.amazonaws.com",
        "port": 5432,
        "security_groups": [
            ec2.SecurityGroup.from_security_group_id(stack, "LedgerGroup", "sg-000000000000000db")
        ],
    }
    return rds.DatabaseInstance.from_database_instance_attributes(
        stack, "Ledger", **(facts | options)
    )


def template_of(stack: Stack) -> Template:
    """Return the template of the stack, whose app is synthesized with it."""
    app = stack.node.root
    assert isinstance(app, App)
    app.synth()
    return Template.read(Path(app.outdir) / f"{stack.artifact_id}.template.json")


def responders(template: Template) -> dict[str, Mapping[str, Any]]:
    """Return the properties of each responder, by its logical id."""
    return {
        name: each
        for name, each in template.of("AWS::Lambda::Function").items()
        if each["Handler"] == "responder.handler.lambda_handler"
    }


def settings_of(responder: Mapping[str, Any]) -> ResponderSettings:
    """Return the settings as the function reads them once CloudFormation knows the port."""
    text = responder["Environment"]["Variables"][ENVIRONMENT_VARIABLE]
    deployed = re.sub(r'("port":)\$\{[\w.]+\}', rf"\g<1>{PORT}", text)
    json.loads(deployed)
    return ResponderSettings.from_environment({ENVIRONMENT_VARIABLE: deployed})
