"""The classes of instances on which RDS runs PostgreSQL."""

import json
from importlib.resources import files

import pytest

from connection_guard.configuration.max_connections.classes import KNOWN_CLASSES, hardware_of

# The hardware of every class:
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib"),
    [
        ("db.t4g.micro", 2, 1),
        ("db.t4g.2xlarge", 8, 32),
        ("db.t3.small", 2, 2),
        ("db.t2.small", 1, 2),
        ("db.m1.small", 1, 1.7),
        ("db.m1.xlarge", 4, 15),
        ("db.m2.4xlarge", 8, 68.4),
        ("db.m3.medium", 1, 3.75),
        ("db.m3.2xlarge", 8, 30),
        ("db.m4.large", 2, 8),
        ("db.m4.10xlarge", 40, 160),
        ("db.m5.24xlarge", 96, 384),
        ("db.m5d.16xlarge", 64, 256),
        ("db.m6g.large", 2, 8),
        ("db.m6gd.large", 2, 8),
        ("db.m6i.32xlarge", 128, 512),
        ("db.m7g.12xlarge", 48, 192),
        ("db.m8g.48xlarge", 192, 768),
        ("db.r3.8xlarge", 32, 244),
        ("db.r4.large", 2, 15.25),
        ("db.r4.16xlarge", 64, 488),
        ("db.r5.large", 2, 16),
        ("db.r5b.24xlarge", 96, 768),
        ("db.r6g.xlarge", 4, 32),
        ("db.r6gd.16xlarge", 64, 512),
        ("db.r6id.32xlarge", 128, 1024),
        ("db.r7g.16xlarge", 64, 512),
        ("db.r7i.48xlarge", 192, 1536),
        ("db.r8g.24xlarge", 96, 768),
        ("db.c6gd.medium", 1, 2),
        ("db.c6gd.16xlarge", 64, 128),
        ("db.x2g.large", 2, 32),
        ("db.x2g.16xlarge", 64, 1024),
        ("db.x2idn.24xlarge", 96, 1536),
        ("db.x2iedn.xlarge", 4, 128),
        ("db.x2iedn.32xlarge", 128, 4096),
    ],
)
def test_the_hardware_follows_from_the_name(name: str, vcpus: int, memory_gib: float) -> None:
    hardware = hardware_of(name)

    assert (hardware.vcpus, hardware.memory_gib) == (vcpus, memory_gib)


def the_classes_on_which_rds_runs_postgresql() -> set[str]:
    """Return those that cfn-lint has from AWS's price list."""
    extensions = files("cfnlint") / "data/schemas/extensions"
    classes = set()
    for name in (
        "aws_rds_dbinstance/dbinstanceclass_enum",
        "aws_rds_dbcluster/dbclusterinstanceclass_enum",
    ):
        for region in json.loads((extensions / f"{name}.json").read_text()).values():
            for rule in region["allOf"]:
                if "postgres" in json.dumps(rule["if"]):
                    (allowed,) = (
                        each
                        for key, each in rule["then"]["properties"].items()
                        if key.endswith("Class")
                    )
                    classes |= set(allowed["enum"])
    return classes


def test_the_known_classes_are_those_on_which_rds_runs_postgresql() -> None:
    assert set(KNOWN_CLASSES) == the_classes_on_which_rds_runs_postgresql() - {"db.serverless"}
