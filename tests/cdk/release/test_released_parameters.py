"""The released templates: what they ask for, and that they are the guard of guard.toml."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connection_guard.configuration.max_connections.estimate import Estimate
from connection_guard.core.deployment.reporter_settings import (
    ReporterSettings,
    databases_path,
    read_watched_database,
)
from connection_guard.core.deployment.responder_settings import ResponderSettings
from connection_guard.core.deployment.stack_output import StackOutput, outputs_of_guards
from connection_guard_cdk.packages.build_package import PYTHON
from connection_guard_cdk.release.released_template import with_short_names
from connection_guard_cdk.release.write_release import Release, write_release
from tests.cdk.release.deployed_values import PROXY, STACK, VALUES, deployed
from tests.cdk.template import Template, synthesized
from tests.support.configurations import (
    REGION,
    a_cluster,
    a_configuration,
    a_database,
    an_existing_proxy,
    notifications,
)

MOST_BYTES_INLINE = 51_200
VARIANTS = ("instance", "instance-with-proxy", "cluster", "cluster-with-proxy")
CLUSTER = {
    "Endpoint": "orders.cluster-c0ffee.eu-central-1.rds.amazonaws.com",
    "ResourceId": "cluster-ORDERS",
}

each_variant = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("release"))


def body(release: Release, variant: str) -> Any:
    return json.loads(release.templates[variant].read_text())


def with_values(release: Release, variant: str, **values: str) -> Template:
    of_variant = VALUES | (CLUSTER if "cluster" in variant else {})
    of_variant |= PROXY if "proxy" in variant else {}
    return deployed(release.templates[variant], **(of_variant | values))


@each_variant
def test_it_fits_into_one_request(release: Release, variant: str) -> None:
    assert release.templates[variant].stat().st_size < MOST_BYTES_INLINE


def test_cfn_lint_finds_nothing(release: Release) -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", REGION]
    command += ["--", *map(str, release.templates.values())]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, ""), run.stdout + run.stderr


@each_variant
def test_it_asks_for_what_nobody_else_knows(release: Release, variant: str) -> None:
    required = {
        name
        for name, parameter in body(release, variant)["Parameters"].items()
        if "Default" not in parameter
    }
    assert required == VALUES.keys() | (PROXY.keys() if "proxy" in variant else set())


@each_variant
def test_the_command_line_finds_its_guard_and_database(release: Release, variant: str) -> None:
    template = with_values(release, variant)

    values = {key: each["Value"] for key, each in template.outputs.items()}
    assert outputs_of_guards(values)[""].keys() == set(StackOutput)
    [parameter] = template.of("AWS::SSM::Parameter").values()
    watched = read_watched_database(parameter["Name"], parameter["Value"])
    assert watched.identifier == VALUES["DatabaseIdentifier"]
    assert parameter["Name"].startswith(f"{databases_path(STACK)}/")


@each_variant
def test_a_person_is_asked_in_groups_and_a_mistake_is_explained(
    release: Release, variant: str
) -> None:
    template = body(release, variant)
    form = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in form["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"]) == sorted(form["ParameterLabels"])
    for parameter in template["Parameters"].values():
        assert parameter["Description"]
        match parameter["Type"]:
            case "String":
                assert parameter["ConstraintDescription"].startswith("must be ")
                assert '"' not in re.sub(r'\[\^[^]]*"', "", parameter["AllowedPattern"])
            case "Number":
                assert parameter["ConstraintDescription"].startswith("must be ")
                assert parameter["MinValue"] < parameter["MaxValue"]
            case aws_specific:
                assert "AWS::EC2::" in aws_specific


@pytest.mark.parametrize(
    ("variant", "name", "right", "wrong"),
    [
        ("instance", "DatabaseIdentifier", "orders-2", "Orders"),
        ("instance", "Endpoint", VALUES["Endpoint"], CLUSTER["Endpoint"]),
        ("cluster", "Endpoint", CLUSTER["Endpoint"], VALUES["Endpoint"]),
        ("cluster", "Endpoint", CLUSTER["Endpoint"], "orders.cluster-ro-c.eu-central-1.rds."),
        ("instance", "Endpoint", VALUES["Endpoint"], f"{VALUES['Endpoint']}:5432"),
        ("instance-with-proxy", "ProxyEndpoint", PROXY["ProxyEndpoint"], VALUES["Endpoint"]),
        ("instance", "ResourceId", "db-ABC", "orders"),
        ("cluster", "ResourceId", "cluster-ABC", "db-ABC"),
        ("instance", "DatabaseName", "Büro 1", 'a"b'),
        ("instance", "DatabaseName", "postgres", "template1"),
        ("instance", "Role", "connection_guard", "role*"),
        ("instance", "Email", "a@example.com", "example.com"),
        ("instance", "SlackSecret", "connection-guard/slack", "xoxb-1-2-abc"),
        ("instance", "SlackSecret", "", "https://hooks.slack.com/services/T/B/x"),
        ("instance", "WatchFromPercent", "0", "101"),
        ("instance", "WatchFromPercent", "", "-1"),
        ("instance", "CodeBucket", "my-packages", "s3://my-packages"),
        ("instance", "CodePrefix", "guard/1.0/", "guard"),
        ("instance", "CodePrefix", "", "guard"),
    ],
)
def test_what_is_wrong_is_refused(
    release: Release, variant: str, name: str, right: str, wrong: str
) -> None:
    pattern = body(release, variant)["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, right)
    assert not re.fullmatch(pattern, wrong)


def test_the_defaults_are_those_of_guard_toml(release: Release) -> None:
    responder = with_values(release, "instance")
    settings = ResponderSettings.from_environment(_environment(responder, "responder"))
    assert (settings.warning_percent, settings.critical_percent) == (75, 90)
    assert settings.watch_from_percent == 75
    assert (settings.database_name, settings.direct.port) == ("postgres", 5432)


@pytest.mark.parametrize(("given", "expected"), [("", 60), ("0", 0), ("40", 40)])
def test_a_heartbeat_keeps_looking_from_warning_on_unless_another_percentage_is_given(
    release: Release, given: str, expected: int
) -> None:
    template = with_values(
        release, "instance", WarningPercent="60", CriticalPercent="80", WatchFromPercent=given
    )
    settings = ResponderSettings.from_environment(_environment(template, "responder"))
    assert settings.watch_from_percent == expected


@each_variant
def test_nothing_of_the_cdk_has_to_be_in_the_account(release: Release, variant: str) -> None:
    text = release.templates[variant].read_text()
    assert not re.search(r"(?i)bootstrap-?version|hnb659fds|\$\{Token|-18881545|e\+289", text)
    template = body(release, variant)
    assert "Rules" not in template
    keys = {
        each["Code"]["S3Key"]
        for each in with_values(release, variant, CodePrefix="guard/")
        .of("AWS::Lambda::Function")
        .values()
    }
    assert keys == {f"guard/{each.name}" for each in release.zips}


@each_variant
def test_it_is_the_stack_of_guard_toml(release: Release, variant: str) -> None:
    a_kind = a_cluster if "cluster" in variant else a_database
    expected = synthesized(
        a_configuration(
            a_kind(
                identifier=VALUES["DatabaseIdentifier"],
                max_connections=Estimate(79, "It is a parameter of the stack.", 70),
                proxy=an_existing_proxy() if "proxy" in variant else None,
            ),
            notifications=notifications(slack_secret="guard/slack"),
        )
    )
    found = with_values(release, variant, SlackSecret="guard/slack")

    parts = {"Resources": expected.resources, "Parameters": {}, "Conditions": {}}
    expected = Template(with_short_names(parts)["Resources"], expected.outputs)
    assert _comparable(found, expected) == _comparable(expected, found)


def _comparable(template: Template, other: Template) -> tuple[dict[str, Any], list[str]]:
    """Return the resources whose logical ids both have, and those that are called after values, or
    after where they are.

    The CDK's own places differ: the nested stack, the bucket of the packages, and the order in
    which what is nested is created.
    """
    resources = {
        name: {key: each[key] for key in each if key != "DependsOn"}
        for name, each in template.resources.items()
        if each["Type"] != "AWS::CloudFormation::Stack"
    }
    text = json.dumps(resources)
    for name in resources.keys() - other.resources.keys():
        text = re.sub(rf"\$\{{{name}\b", f"${{{resources[name]['Type']}", text)
    for place, same in (
        (r"\$\{AWS::Partition\}", "aws"),
        (r"\$\{AWS::Region\}", REGION),
        (r"connection-guard-(?:Databases\d-)?(\w+(?:-Responder)?)-[0-9A-F]{8}", r"\1"),
        (r'"Connection Guard, [^"]*"', '"Connection Guard"'),
        (r'"S3Bucket": "[^"]*"', '"S3Bucket": ""'),
        (r'"S3Key": "[^"]*?(\w+\.zip)"', r'"S3Key": "\1"'),
    ):
        text = re.sub(place, same, text)
    comparable = _without_order(json.loads(text))
    return (
        {name: each for name, each in comparable.items() if name in other.resources},
        sorted(
            json.dumps(each, sort_keys=True)
            for name, each in comparable.items()
            if name not in other.resources
        ),
    )


def _without_order(value: Any) -> Any:
    """Return the value with texts in the place of numbers, as a parameter has them, and with lists
    of texts in one order.
    """
    match value:
        case dict():
            return {key: _without_order(each) for key, each in value.items()}
        case list():
            parts = [_without_order(each) for each in value]
            return sorted(parts) if all(isinstance(each, str) for each in parts) else parts
        case _:
            return str(value)


@pytest.mark.parametrize(("secret", "channels"), [("", 1), ("guard/slack", 2)])
def test_slack_is_notified_only_where_its_secret_is_named(
    release: Release, secret: str, channels: int
) -> None:
    template = with_values(release, "instance", SlackSecret=secret)
    settings = ReporterSettings.from_environment(_environment(template, "reporter"))
    assert len(settings.channels) == channels
    readers = [
        each for each in template.statements() if each.names("secretsmanager:GetSecretValue")
    ]
    assert len(readers) == channels - 1


@pytest.mark.parametrize(
    ("group", "port", "rules"),
    [
        (PROXY["ProxySecurityGroup"], "5432", 2),
        (VALUES["DatabaseSecurityGroup"], "6432", 2),
        (VALUES["DatabaseSecurityGroup"], "5432", 1),
    ],
)
def test_a_proxy_and_its_database_may_share_a_security_group(
    release: Release, group: str, port: str, rules: int
) -> None:
    template = with_values(release, "instance-with-proxy", ProxySecurityGroup=group, ProxyPort=port)
    ways_in = template.of("AWS::EC2::SecurityGroupIngress").values()
    [guards] = template.of("AWS::EC2::SecurityGroup").values()
    assert len(ways_in) == len(guards["SecurityGroupEgress"]) == rules
    assert len({(each["GroupId"], each["FromPort"]) for each in ways_in}) == rules


def test_two_stacks_of_one_template_do_not_collide(release: Release) -> None:
    """Every name that is chosen begins with that of the stack."""
    template = with_values(release, "instance")
    names = [
        str(value)
        for resource in template.resources.values()
        for key, value in resource["Properties"].items()
        if key in ("AlarmName", "FunctionName", "LogGroupName", "DashboardName", "RoleName")
        and not str(value).startswith("${")
    ]
    assert names
    assert not [name for name in names if STACK not in name]


def _environment(template: Template, function: str) -> dict[str, str]:
    [properties] = [
        each
        for each in template.of("AWS::Lambda::Function").values()
        if each["Handler"].startswith(function)
    ]
    assert properties["Runtime"] == f"python{PYTHON}"
    return dict(properties["Environment"]["Variables"])
