"""What AWS publishes of the instance classes on which RDS runs PostgreSQL: virtual CPUs and memory.

Amazon RDS User Guide, "Hardware specifications for DB instance classes".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connection_guard.configuration.toml.readers import MistakeError, given


@dataclass(frozen=True, slots=True)
class Hardware:
    """Memory in GiB and virtual CPUs of a class."""

    memory_gib: float
    vcpus: int


_TO_16 = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_TO_24 = (*_TO_16, "24xlarge")
_TO_32 = (*_TO_24, "32xlarge")
_TO_48 = (*_TO_24, "48xlarge")

# GiB of memory for each virtual CPU, and sizes.
_FAMILIES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "c6gd": (2, ("medium", *_TO_16)),
    "m3": (3.75, ("medium", "large", "xlarge", "2xlarge")),
    "m4": (4, ("large", "xlarge", "2xlarge", "4xlarge", "10xlarge", "16xlarge")),
    **dict.fromkeys(("m5", "m5d"), (4, _TO_24)),
    **dict.fromkeys(("m6g", "m6gd", "m7g"), (4, _TO_16)),
    **dict.fromkeys(("m6i", "m6id", "m6idn", "m6in"), (4, _TO_32)),
    **dict.fromkeys(("m7i", "m8a", "m8g", "m8gd", "m9g"), (4, _TO_48)),
    "r3": (7.625, ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")),
    "r4": (7.625, ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")),
    **dict.fromkeys(("r5", "r5b", "r5d"), (8, _TO_24)),
    **dict.fromkeys(("r6g", "r6gd", "r7g"), (8, _TO_16)),
    **dict.fromkeys(("r6i", "r6id", "r6idn", "r6in"), (8, _TO_32)),
    **dict.fromkeys(("r7i", "r8a", "r8g", "r8gd"), (8, _TO_48)),
    "x2g": (16, _TO_16),
    "x2idn": (16, ("16xlarge", "24xlarge", "32xlarge")),
    "x2iedn": (32, ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge", "24xlarge", "32xlarge")),
}


def _vcpus(size: str) -> int:
    match size:
        case "medium":
            return 1
        case "large":
            return 2
        case _:
            return 4 * int(size.removesuffix("xlarge") or 1)


_BURSTABLE = {
    "micro": Hardware(1, 2),
    "small": Hardware(2, 2),
    "medium": Hardware(4, 2),
    "large": Hardware(8, 2),
    "xlarge": Hardware(16, 4),
    "2xlarge": Hardware(32, 8),
}

KNOWN_CLASSES = {
    **{
        f"db.{family}.{size}": Hardware(gib_per_vcpu * _vcpus(size), _vcpus(size))
        for family, (gib_per_vcpu, sizes) in _FAMILIES.items()
        for size in sizes
    },
    **{
        f"db.{family}.{size}": hardware
        for family in ("t2", "t3", "t4g")
        for size, hardware in _BURSTABLE.items()
    },
    "db.t2.micro": Hardware(1, 1),
    "db.t2.small": Hardware(2, 1),
    # 0.613 GiB were published, but a max_connections of {DBInstanceClassMemory/31457280} was 26
    # there: 0.76 GiB.
    "db.t1.micro": Hardware(1, 1),
    "db.m1.small": Hardware(1.7, 1),
    "db.m1.medium": Hardware(3.75, 1),
    "db.m1.large": Hardware(7.5, 2),
    "db.m1.xlarge": Hardware(15, 4),
    "db.m2.xlarge": Hardware(17.1, 2),
    "db.m2.2xlarge": Hardware(34.2, 4),
    "db.m2.4xlarge": Hardware(68.4, 8),
}


def hardware_of(instance_class: str) -> Hardware:
    """Return what AWS publishes of the class; raise MistakeError where it is not known here."""
    try:
        return KNOWN_CLASSES[instance_class]
    except KeyError as error:
        raise MistakeError(_unknown_class(instance_class)) from error


def _unknown_class(instance_class: str) -> str:
    if instance_class == "db.serverless":
        return f"{given(instance_class)} has no memory of its own; give minimum_acu and maximum_acu"
    if not instance_class.startswith("db."):
        return (
            f'{given(instance_class)} is not a DB instance class; write one such as "db.r6g.large"'
        )
    unknown = f"{given(instance_class)} is not a known instance class of RDS for PostgreSQL"
    family = ".".join(instance_class.split(".")[:2])
    if sizes := [
        name.removeprefix(f"{family}.") for name in KNOWN_CLASSES if name.startswith(f"{family}.")
    ]:
        unknown += f" ({family} has the sizes {', '.join(sizes)})"
    return (
        f"{unknown}; correct it, or write max_connections as a number, or the class's memory as "
        "memory_gib"
    )
