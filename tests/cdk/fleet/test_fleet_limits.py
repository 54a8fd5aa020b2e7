"""What is counted before anything is built, compared with what is built."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Network,
    ProxyAuthentication,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.fleet_limits import StackCount, count, refuse_beyond_limits
from tests.cdk.template import synthesize
from tests.support.configurations import (
    a_cluster,
    a_configuration,
    a_database,
    a_new_proxy,
    a_target,
    an_existing_proxy,
    notifications,
)
from tests.support.fleets import a_fleet, numbered

OTHER_NETWORK = Network("vpc-00000000000000002", ("subnet-0000000000000000a",), ("eu-central-1a",))


CONFIGURATIONS = {
    "one database": a_configuration(),
    "without e-mail": a_configuration(notifications=notifications(emails=(), slack_secret="s")),
    "proxies of every sort": a_configuration(
        numbered(1, proxy=a_new_proxy()),
        numbered(2, proxy=a_new_proxy(ProxyAuthentication.SECRETS), port=5433),
        numbered(3, proxy=an_existing_proxy()),
        a_cluster(identifier="payments", network=OTHER_NETWORK, proxy=a_new_proxy()),
        notifications=notifications(
            emails=("a@example.com", "b@example.com"),
            slack_secret="guard/slack",
            incident_accounts=("210987654321",),
        ),
    ),
    "more groups than one may reach": a_configuration(
        numbered(1, security_groups=tuple(f"sg-{number:017x}" for number in range(40))),
        numbered(2, security_groups=tuple(f"sg-{number:017x}" for number in range(30, 61))),
        numbered(3, security_groups=("sg-00000000000000001",)),
    ),
    "groups that are shared": a_configuration(
        numbered(1, security_groups=("sg-00000000000000001", "sg-00000000000000002")),
        numbered(2, security_groups=("sg-00000000000000001",)),
        numbered(3, security_groups=("sg-00000000000000001",), port=5433),
    ),
}


def templates(folder: Path) -> dict[str, Any]:
    """Return each template by the name of its nested stack, or "" for the stack itself."""
    found = {}
    for path in folder.glob("*.template.json"):
        _, nested, rest = path.name.partition("Databases")
        found[f"{nested}{rest[:1]}" if nested else ""] = json.loads(path.read_text())
    return found


def built(folder: Path) -> StackCount:
    """Return what was built, except what no template shows."""
    found = templates(folder)
    top = found.pop("")
    resources = top["Resources"].values()
    filters = [
        each["Properties"]["TopicArn"]
        for part in found.values()
        for each in part["Resources"].values()
        if each["Type"] == "AWS::SNS::Subscription"
    ]
    return StackCount(
        top=len(resources),
        nested={name: len(each["Resources"]) for name, each in found.items()},
        filter_policies=len(filters),
        rules=[],
        proxies=sum(
            each["Type"] == "AWS::RDS::DBProxy"
            for part in found.values()
            for each in part["Resources"].values()
        ),
        interfaces={},
    )


def rules_of_groups(folder: Path) -> list[int]:
    return sorted(
        len(each["Properties"]["SecurityGroupEgress"])
        for each in templates(folder)[""]["Resources"].values()
        if each["Type"] == "AWS::EC2::SecurityGroup"
    )


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_counted_is_what_is_built(name: str, tmp_path: Path) -> None:
    counted = count(CONFIGURATIONS[name])
    synthesize(CONFIGURATIONS[name], tmp_path)

    assert replace(counted, rules=[], interfaces={}) == built(tmp_path)
    assert sorted(counted.rules) == rules_of_groups(tmp_path)


def test_responders_of_one_vpc_and_port_share_their_network_interfaces() -> None:
    fleet = (numbered(number, port=5432 + number % 2) for number in range(10))
    assert count(a_configuration(*fleet)).interfaces == {a_database().network.vpc: 4}


SECOND_FILE = (
    "move databases into a second file with a stack_name of its own, and deploy that with: make "
    "deploy GUARD=second.toml"
)
ONE_GROUP = ("sg-00000000000000001",)


def refusals(**configurations: Configuration) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        refuse_beyond_limits({f"{name}.toml": each for name, each in configurations.items()})
    return str(refused.value).splitlines()


def test_a_hundred_databases_are_one_deployment() -> None:
    refuse_beyond_limits({"guard.toml": a_fleet(100, security_groups=ONE_GROUP)})


def test_more_than_one_deployment_takes_is_refused_with_what_to_do() -> None:
    lines = refusals(guard=a_fleet(250, security_groups=ONE_GROUP))

    resources = count(a_fleet(250, security_groups=ONE_GROUP)).resources
    assert lines[0] == (
        f"guard.toml: its databases need {resources:,} resources, and CloudFormation deploys 2,500 "
        f"at once; {SECOND_FILE}"
    )
    assert lines[-1].partition("need ")[2].partition(";")[0] == (
        "250 subscriptions with a filter, and Amazon SNS allows 200 per topic"
    )


def test_more_security_groups_than_one_group_has_rules_for_take_two() -> None:
    assert count(a_fleet(60)).rules == [60]
    assert count(a_fleet(61)).rules == [60, 1]


def test_the_proxies_of_all_files_of_a_region_are_counted_together() -> None:
    eleven = a_fleet(11, proxy=a_new_proxy())
    elsewhere = replace(eleven, target=a_target(region="eu-west-1"))

    refuse_beyond_limits({"here.toml": eleven, "there.toml": elsewhere})
    [line] = refusals(first=eleven, second=eleven)

    assert line == (
        "first.toml, second.toml: 22 RDS proxies are to be created in 123456789012 in "
        "eu-central-1, and Amazon RDS allows 20; remove `create = true` where the direct door is "
        "enough"
    )
