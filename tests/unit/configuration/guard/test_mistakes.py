"""How the mistakes of guard.toml are reported: one line each, with the place and what to write."""

from pathlib import Path

import pytest

from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.errors import ConfigurationError
from tests.unit.configuration.cases import the_cases
from tests.unit.configuration.guard.conftest import Write
from tests.unit.configuration.guard.guard_files import (
    AT_RDS,
    CASES,
    DEPLOY,
    EXISTING_PROXY,
    POLICY,
    guard,
    orders,
    payments,
    refusal,
)

ORDERS_0 = 'databases[0] "orders"'


@pytest.mark.parametrize(("text", "lines"), the_cases(CASES))
def test_a_mistake_is_reported_in_one_line_with_its_place_and_what_to_write(
    text: str, lines: list[str], write: Write
) -> None:
    assert refusal(write(text)) == lines


def test_a_byte_order_mark_is_reported(write: Write) -> None:
    assert refusal(write(f"\ufeff{guard()}")) == [
        "guard.toml: begins with a byte order mark (BOM); save it as UTF-8 without one"
    ]


def test_more_tags_than_a_stack_can_have_are_reported(write: Write) -> None:
    tags = {f"tag{number}": "a" for number in range(50)}

    assert refusal(write(guard(deploy=DEPLOY | {"tags": tags}))) == [
        "guard.toml: deploy: tags: 50 tags are more than CloudFormation takes; write at most 49"
    ]


def test_a_warning_at_the_target_of_the_shipped_policy_is_reported_with_what_replaces_that(
    tmp_path: Path,
) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(guard(orders(warning=70)))

    assert refusal(path) == [
        (
            f"guard.toml: {ORDERS_0}: policy: the shipped policy (a policy.toml beside this file "
            "replaces it): limits: target: 70 is not below the warning alarm at 70 %, which would "
            "never clear; lower it, or raise warning"
        )
    ]


def test_every_mistake_is_reported_at_once(write: Write) -> None:
    text = guard(
        orders(vpc=3, endpoint="orders.c1.eu-west-1.rds.amazonaws.com", warning=95),
        payments(
            endpoint=f"payment.cluster-{AT_RDS}",
            max_connections="{",
            proxy={"authentication": "kerberos"},
        ),
        deploy=DEPLOY | {"account": 1},
        notifications={"emails": [1, 2]},
    )

    assert [line.partition("; ")[0] for line in refusal(write(text))] == [
        "guard.toml: deploy: account: 1 is a number, and an account may begin with 0",
        "guard.toml: notifications: emails: 1 is not an e-mail address",
        "guard.toml: notifications: emails: 2 is not an e-mail address",
        (
            f'guard.toml: {ORDERS_0}: endpoint: "orders.c1.eu-west-1.rds.amazonaws.com" is in '
            "eu-west-1, but deploy.region is eu-central-1"
        ),
        f"guard.toml: {ORDERS_0}: vpc: 3 is not a VPC",
        f"guard.toml: {ORDERS_0}: warning: 95 is not below critical, 90",
        (
            f'guard.toml: databases[1] "payments": endpoint: "payment.cluster-{AT_RDS}" does not '
            'begin with "payments", so it belongs to another database'
        ),
        (
            'guard.toml: databases[1] "payments": max_connections: "{": expected one of integer, '
            "log, DBInstanceClassMemory, DBInstanceVCPU, not the end"
        ),
        (
            'guard.toml: databases[1] "payments": proxy: authentication: "kerberos" is not one of '
            '"iam", "secrets"'
        ),
        'guard.toml: databases[1] "payments": proxy: endpoint: is missing',
        'guard.toml: databases[1] "payments": proxy: resource_id: is missing',
        'guard.toml: databases[1] "payments": proxy: security_groups: is missing',
    ]


def test_an_endpoint_in_another_region_and_of_another_database_is_reported_as_both(
    write: Write,
) -> None:
    lines = refusal(write(guard(orders(endpoint="x.c1.eu-west-1.rds.amazonaws.com"))))

    assert len(lines) == 2
    assert 'does not begin with "orders"' in lines[0]
    assert "is in eu-west-1" in lines[1]


def test_what_depends_on_a_wrong_value_is_not_reported_as_well(write: Write) -> None:
    text = guard(orders(proxy=EXISTING_PROXY), deploy=DEPLOY | {"region": "Frankfurt"})

    assert [line.partition('"')[0] for line in refusal(write(text))] == [
        "guard.toml: deploy: region: "
    ]


# Files


def test_a_missing_file_is_reported_with_how_to_begin(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"

    assert refusal(path) == [
        (
            f"{path} does not exist; let `connection-guard discover` write it, begin with a copy "
            "of the project's examples/guard.toml, or name the file where it is"
        )
    ]


def test_another_missing_file_than_the_first_is_not_to_be_copied(write: Write) -> None:
    first = write(guard())
    path = first.with_name("missing.toml")

    with pytest.raises(ConfigurationError) as refused:
        read_configuration(path, first)

    assert str(refused.value) == (f"{path} does not exist; create it, or correct its path")


def test_a_folder_instead_of_a_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.mkdir()

    assert refusal(path) == [f"{path} is a folder; name the file in it"]


def test_a_file_in_another_encoding_is_reported(write: Write) -> None:
    path = write("# Übersicht".encode("latin-1"))

    assert refusal(path) == [f"{path} is not UTF-8 text (byte 2); save it as UTF-8"]


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        ("missing.toml", "{path} does not exist; create it, or correct its path"),
        ("", '"" is not the path of a file; write one such as "policy.toml"'),
        (".", "{folder} is a folder; name the file in it"),
        (
            "guard.toml/x",
            "{path} cannot be read: Not a directory; correct its path or its permissions",
        ),
        (
            "x" * 300,
            "{path} cannot be read: File name too long; correct its path or its permissions",
        ),
        ("a\0b", '"a\\u0000b" is not the path of a file; write one such as "policy.toml"'),
    ],
)
def test_a_policy_that_cannot_be_read_is_reported(policy: str, mistake: str, write: Write) -> None:
    path = write(guard(orders(policy=policy)))

    expected = mistake.format(path=path.parent / policy, folder=path.parent)
    assert refusal(path) == [f"guard.toml: {ORDERS_0}: policy: {expected}"]


def test_the_mistakes_of_a_policy_are_reported_under_its_own_name_and_once(tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text(POLICY.replace("batch_size = 50", "batch_size = 51"))
    path = tmp_path / "guard.toml"
    path.write_text(guard(orders(policy="shared.toml"), payments(policy="shared.toml", vpc="x")))

    assert refusal(path) == [
        "shared.toml: limits: batch_size: 51 is not a whole number from 1 to 50",
        (
            'guard.toml: databases[1] "payments": vpc: "x" is not a VPC; write its ID, such as '
            '"vpc-0123456789abcdef0"'
        ),
    ]
