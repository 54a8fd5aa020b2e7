"""What the stacks of some guard files will hold, counted before anything is built, and what AWS
allows.

CloudWatch does not limit the number of alarms
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html), a nested
stack has at most two parameters per database, and Systems Manager holds 10,000 parameters
(https://docs.aws.amazon.com/general/latest/gr/ssm.html): other limits are reached before these.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Database,
    ExistingProxy,
    NewProxy,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.nested_stacks import nested_stack_of
from connection_guard_cdk.network.closed_security_group import RULES_OF_GROUP

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
RESOURCES_OF_STACK = 500
RESOURCES_OF_DEPLOYMENT = 2500
# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
FILTER_POLICIES_OF_TOPIC = 200
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
PROXIES_OF_REGION = 20
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
INTERFACES_OF_VPC = 500

# What the constructs create; a test compares the sums with the templates.
SHARED = 39
EMAILS = 3
EMAIL = 2
DATABASE = 13
NEW_PROXY = 3

PORT_OF_PROXY = 5432


@dataclass(frozen=True, slots=True)
class StackCount:
    """What one stack holds. `rules` are the ways out of each security group that it creates, and
    `interfaces` the network interfaces of its functions by VPC.
    """

    top: int
    nested: Mapping[str, int]
    filter_policies: int
    rules: Sequence[int]
    proxies: int
    interfaces: Mapping[str, int]

    @property
    def resources(self) -> int:
        """Return the resources of the stack and its nested stacks."""
        return self.top + sum(self.nested.values())


@dataclass(slots=True, eq=False)
class _SecurityGroup:
    """What the members of a security group reach, and the subnets that they are in."""

    reached: set[tuple[object, int]] = field(default_factory=set)
    subnets: set[str] = field(default_factory=set)


class _Network:
    """The security groups by whose they are, the VPC and the port."""

    def __init__(self) -> None:
        self.groups: defaultdict[tuple[str, str, int], list[_SecurityGroup]] = defaultdict(list)

    def add(self, database: Database) -> None:
        """Add what the database's responder needs, and its proxy where that is to be created."""
        network = database.network
        doors: set[tuple[object, int]] = {
            (group, database.port) for group in database.security_groups
        }
        reached = doors
        match database.proxy:
            case ExistingProxy(port=port, security_groups=groups):
                reached = doors | {(group, port) for group in groups}
            case NewProxy():
                place = ("proxies", network.vpc, PORT_OF_PROXY)
                number = self._add(place, doors, frozenset())
                reached = doors | {((place, number), PORT_OF_PROXY)}
        self._add(("responders", network.vpc, database.port), reached, frozenset(network.subnets))

    def _add(
        self, place: tuple[str, str, int], reached: set[tuple[object, int]], subnets: Set[str]
    ) -> int:
        """Add them to the first group that has room, and return its number."""
        groups = self.groups[place]
        group = next((g for g in groups if len(g.reached | reached) <= RULES_OF_GROUP), None)
        if group is None:
            group = _SecurityGroup()
            groups.append(group)
        group.reached |= reached
        group.subnets |= subnets
        return groups.index(group)


def count(configuration: Configuration) -> StackCount:
    """Return what the stack of the configuration will hold."""
    network = _Network()
    nested: Counter[str] = Counter()
    for database in configuration.databases:
        network.add(database)
        nested[nested_stack_of(database.identifier)] += DATABASE + NEW_PROXY * isinstance(
            database.proxy, NewProxy
        )
    emails = configuration.notifications.emails
    rules = [len(each.reached) for groups in network.groups.values() for each in groups]
    interfaces: Counter[str] = Counter()
    for (_members, vpc, _port), groups in network.groups.items():
        interfaces[vpc] += sum(len(each.subnets) for each in groups)
    return StackCount(
        top=SHARED
        + (EMAILS + EMAIL * len(emails) if emails else 0)
        + len(nested)
        + sum(1 + each for each in rules),
        nested=nested,
        filter_policies=len(configuration.databases),
        rules=rules,
        proxies=sum(isinstance(each.proxy, NewProxy) for each in configuration.databases),
        interfaces=interfaces,
    )


def refuse_beyond_limits(configurations: Mapping[str, Configuration]) -> None:
    """Raise ConfigurationError with one line for each limit of AWS that the guard files, by their
    names, would exceed.
    """
    counts = {file: count(configuration) for file, configuration in configurations.items()}
    mistakes = [line for file, each in counts.items() for line in _of_stack(file, each)]
    regions: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for file, configuration in configurations.items():
        target = configuration.target
        regions[target.account, target.region].append(file)
    for (account, region), files in regions.items():
        mistakes += _of_region(f"{account} in {region}", files, counts)
    if mistakes:
        raise ConfigurationError(*mistakes)


def _of_stack(file: str, stack: StackCount) -> Iterator[str]:
    split = (
        "move databases into a second file with a stack_name of its own, and deploy that with: "
        "make deploy GUARD=second.toml"
    )
    largest = max(stack.nested.values())
    for needed, limit, what in (
        (
            stack.resources,
            RESOURCES_OF_DEPLOYMENT,
            "resources, and CloudFormation deploys {} at once",
        ),
        (
            stack.top,
            RESOURCES_OF_STACK,
            "resources in the stack itself, and CloudFormation allows {}",
        ),
        (
            largest,
            RESOURCES_OF_STACK,
            "resources in one nested stack, and CloudFormation allows {}",
        ),
        (
            stack.filter_policies,
            FILTER_POLICIES_OF_TOPIC,
            "subscriptions with a filter, and Amazon SNS allows {} per topic",
        ),
    ):
        if needed > limit:
            yield f"{file}: its databases need {needed:,} {what.format(f'{limit:,}')}; {split}"


def _of_region(place: str, files: Sequence[str], counts: Mapping[str, StackCount]) -> Iterator[str]:
    shown = ", ".join(files)
    stacks = [counts[file] for file in files]
    proxies = sum(each.proxies for each in stacks)
    if proxies > PROXIES_OF_REGION:
        yield (
            f"{shown}: {proxies} RDS proxies are to be created in {place}, and Amazon RDS allows "
            f"{PROXIES_OF_REGION}; remove `create = true` where the direct door is enough"
        )
    interfaces = sum((Counter(each.interfaces) for each in stacks), Counter[str]())
    for vpc, needed in interfaces.items():
        if needed > INTERFACES_OF_VPC:
            yield (
                f"{shown}: the responders in {vpc} need {needed} network interfaces, and AWS "
                f"Lambda allows {INTERFACES_OF_VPC} per VPC; give them the same two subnets"
            )
