"""Which subnets are public, by the route tables of their VPCs."""

from collections.abc import Iterable, Mapping
from typing import Any


def public_among(
    subnets: Iterable[tuple[str, str]], route_tables: Iterable[Mapping[str, Any]]
) -> frozenset[str]:
    """Return those of the subnets, each with its VPC, that route to an internet gateway.

    A subnet that is associated with no route table has the VPC's main one (Amazon VPC User Guide,
    "Subnet route tables").
    """
    is_public: dict[str, bool] = {}
    for table in route_tables:
        routes = table.get("Routes", [])
        leads_out = any(
            str(route.get("GatewayId")).startswith("igw-") and route.get("State") != "blackhole"
            for route in routes
        )
        for association in table.get("Associations", []):
            if subnet := association.get("SubnetId"):
                is_public[subnet] = leads_out
            elif association.get("Main"):
                is_public[str(table.get("VpcId"))] = leads_out
    return frozenset(
        subnet for vpc, subnet in subnets if is_public.get(subnet, is_public.get(vpc, False))
    )
