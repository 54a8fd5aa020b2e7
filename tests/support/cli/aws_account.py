"""An AWS account with databases: moto as a server, which the command reaches as it reaches AWS.

What moto does not know is set in its own state.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from tests.support.configurations import ACCOUNT, REGION

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "of nobody"}
ENGINE = {"Engine": "postgres", "EngineVersion": "16.4"}


class AwsAccount:
    """An account with a VPC that has two private subnets and a public one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION}
        self.rds: Any = self.client("rds")
        self.ec2: Any = self.client("ec2")
        self.vpc = str(self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
        self.private = [self.subnet(number, zone) for number, zone in enumerate("ab")]
        self.public = self.subnet(2, "c")
        self.security_group = str(
            self.ec2.create_security_group(GroupName="db", Description="db", VpcId=self.vpc)[
                "GroupId"
            ]
        )
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.create_route(
            RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
        )
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=self.public)
        self.rds.create_db_subnet_group(
            DBSubnetGroupName="databases",
            DBSubnetGroupDescription="of databases",
            SubnetIds=[*self.private, self.public],
        )

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        session: Any = boto3.Session(
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.url)

    def subnet(self, number: int, zone: str) -> str:
        """Return a new subnet in a zone."""
        subnet = self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )
        return str(subnet["Subnet"]["SubnetId"])

    def instance(self, name: str, **changes: Any) -> Any:
        """Create a DB instance, and return what moto holds of it."""
        tags = changes.pop("tags", {})
        self.rds.create_db_instance(
            **{
                "DBInstanceIdentifier": name,
                "DBInstanceClass": "db.m7g.large",
                **ENGINE,
                "AllocatedStorage": 20,
                "MasterUsername": "master",
                "MasterUserPassword": "a long password",
                "DBSubnetGroupName": "databases",
                "VpcSecurityGroupIds": [self.security_group],
                "EnableIAMDatabaseAuthentication": True,
                "PubliclyAccessible": False,
                "Port": 5432,
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                **changes,
            }
        )
        held = self.state.databases[name]
        held.dbi_resource_id = f"db-{name.replace('-', '').upper()}"  # moto has one for all
        return held

    @property
    def state(self) -> Any:
        """What moto holds of RDS."""
        return get_backend("rds")[ACCOUNT][REGION]


@contextmanager
def aws_account() -> Iterator[AwsAccount]:
    """Yield an account of its own, as long as it is needed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield AwsAccount(f"http://{host}:{port}")
    finally:
        server.stop()
        for service in ("rds", "ec2", "secretsmanager", "sts"):
            get_backend(service).reset()
