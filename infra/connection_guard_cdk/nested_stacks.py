"""Which nested stack a database's part belongs to, and how the CDK names the stacks of files."""

from collections import Counter
from collections.abc import Sequence
from zlib import crc32

from connection_guard.configuration.guard.guard_configuration import Target

# A database stays in its nested stack as long as this number stays what it is: a change would move
# most databases to another one, where the names of their alarms and parameters are still taken.
NESTED_STACKS = 8


def nested_stack_of(database: str) -> str:
    """Return the name of a database's nested stack: always the same, whichever other databases
    there are.
    """
    return f"Databases{crc32(database.encode()) % NESTED_STACKS + 1}"


def stack_identifiers(targets: Sequence[Target]) -> tuple[str, ...]:
    """Return what the CDK and its files call each stack: the stack's name, with account and region
    where stacks elsewhere have the same name.
    """
    names = Counter(each.stack_name for each in targets)
    return tuple(
        each.stack_name
        if names[each.stack_name] == 1
        else f"{each.stack_name}-{each.account}-{each.region}"
        for each in targets
    )
