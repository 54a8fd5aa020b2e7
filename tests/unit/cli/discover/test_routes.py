"""Which subnets route to an internet gateway."""

from typing import Any

from connection_guard.cli.discover.account.routes import public_among

OUT = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
SUBNETS = [("vpc-1", "subnet-1"), ("vpc-1", "subnet-2"), ("vpc-2", "subnet-3")]


def table(vpc: str, *routes: dict[str, str], of: str | None = None) -> dict[str, Any]:
    association: dict[str, Any] = {"Main": True} if of is None else {"Main": False, "SubnetId": of}
    return {"VpcId": vpc, "Routes": [LOCAL, *routes], "Associations": [association]}


def test_a_subnet_has_the_routes_of_its_own_table() -> None:
    assert public_among(SUBNETS, [table("vpc-1"), table("vpc-1", OUT, of="subnet-1")]) == {
        "subnet-1"
    }


def test_a_subnet_without_one_has_those_of_the_main_table() -> None:
    tables = [table("vpc-1", OUT), table("vpc-1", NAT, of="subnet-2"), table("vpc-2")]

    assert public_among(SUBNETS, tables) == {"subnet-1"}


def test_a_gateway_that_is_gone_leads_nowhere() -> None:
    assert not public_among(SUBNETS, [table("vpc-1", {**OUT, "State": "blackhole"})])
