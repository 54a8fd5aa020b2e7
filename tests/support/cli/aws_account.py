"""An AWS account with databases: moto as a server, which the command reaches as it reaches AWS.

What moto does not know is set in its own state.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.support.configurations import ACCOUNT, REGION

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "of nobody"}
ENGINE = {"Engine": "postgres", "EngineVersion": "16.4"}


DENIED = """<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"""
DENIED_BY_EC2 = """<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>
</Errors><RequestID>1</RequestID></Response>"""


class Gate:
    """It is before moto, notes what is `asked`, and refuses actions with a code of AWS's. `before`
    has what happens before an action is answered.

    moto itself raises where a code, such as that of a missing permission, is in no service model.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refused: dict[str, str] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self._moto: Any = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        [action] = parse_qs(body.decode()).get("Action", [target])
        self.asked.append(action)
        self.before.get(action, lambda: None)()
        if (code := self.refused.get(action)) is None:
            return self._moto(environ, start_response)
        shape = DENIED_BY_EC2 if "/ec2/" in environ["HTTP_AUTHORIZATION"] else DENIED
        start_response("403 Forbidden", [("Content-Type", "text/xml")])
        return [shape.format(code=code, message=f"not authorized to {action}").encode()]


class AwsAccount:
    """An account with a VPC that has two private subnets and a public one."""

    def __init__(self, url: str, gate: Gate) -> None:
        self.url = url
        self.gate = gate
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

    def forget(self) -> None:
        """Forget the databases and what belongs to them, and answer everything again."""
        for held in (
            "databases",
            "database_snapshots",
            "clusters",
            "cluster_snapshots",
            "db_proxies",
            "db_parameter_groups",
        ):
            getattr(self.state, held).clear()
        get_backend("secretsmanager")[ACCOUNT][REGION].secrets.clear()
        self.gate.asked.clear()
        self.gate.refused = {}
        self.gate.before.clear()

    @property
    def state(self) -> Any:
        """What moto holds of RDS."""
        return get_backend("rds")[ACCOUNT][REGION]


@contextmanager
def aws_account() -> Iterator[AwsAccount]:
    """Yield an account of its own, as long as it is needed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    gate = Gate()
    server = make_server("127.0.0.1", 0, gate, True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield AwsAccount(f"http://127.0.0.1:{server.server_port}", gate)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for service in ("rds", "ec2", "secretsmanager"):
            get_backend(service).reset()


def an_aurora_cluster(account: AwsAccount) -> None:
    """Create the cluster `payments`, with Serverless v2 and two instances."""
    account.rds.create_db_cluster(
        DBClusterIdentifier="payments",
        Engine="aurora-postgresql",
        EngineVersion="16.4",
        MasterUsername="master",
        MasterUserPassword="a long password",
        DBSubnetGroupName="databases",
        VpcSecurityGroupIds=[account.security_group],
        EnableIAMDatabaseAuthentication=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 16},
    )
    for number in (1, 2):
        account.instance(
            f"payments-{number}",
            DBClusterIdentifier="payments",
            Engine="aurora-postgresql",
            DBInstanceClass="db.serverless",
        )
