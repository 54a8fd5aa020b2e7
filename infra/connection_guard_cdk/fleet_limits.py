"""What the stacks of some guard files will hold, counted before anything is built, and what AWS
allows.

CloudWatch does not limit the number of alarms
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html), a nested
stack has at most two parameters per database, and Systems Manager holds 10,000 parameters
(https://docs.aws.amazon.com/general/latest/gr/ssm.html): other limits are reached before these.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connection_guard.configuration.guard.guard_configuration import (
    Configuration,
    Database,
    ExistingProxy,
    NewProxy,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.nested_stacks import nested_stack_of

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
RESOURCES_OF_STACK = 500
RESOURCES_OF_DEPLOYMENT = 2500
OUTPUTS_OF_STACK = 200
# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
FILTER_POLICIES_OF_TOPIC = 200
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
RULES_OF_GROUP = 60
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
SHARED_OUTPUTS = 7

PORT_OF_PROXY = 5432

Group = tuple[str, str, int]
"""Whose security group it is, the VPC, and the port of its members or of what they reach."""


@dataclass(frozen=True, slots=True)
class StackCount:
    """What one stack holds. `rules` are the ways out of each security group that it creates,
    `interfaces` the network interfaces of its functions by VPC.
    """

    top: int
    nested: Mapping[str, int]
    outputs: int
    filter_policies: int
    rules: Mapping[Group, int]
    proxies: int
    interfaces: Mapping[str, int]

    @property
    def resources(self) -> int:
        """Return the resources of the stack and its nested stacks."""
        return self.top + sum(self.nested.values())


@dataclass(slots=True)
class _Network:
    """What the members of each security group reach, and the subnets that they are in."""

    reached: defaultdict[Group, set[tuple[object, int]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    subnets: defaultdict[Group, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, database: Database) -> None:
        vpc = database.network.vpc
        responders = ("responders", vpc, database.port)
        doors = {(group, database.port) for group in database.security_groups}
        self.subnets[responders] |= set(database.network.subnets)
        self.reached[responders] |= doors
        match database.proxy:
            case ExistingProxy(port=port, security_groups=groups):
                self.reached[responders] |= {(group, port) for group in groups}
            case NewProxy():
                proxies = ("proxies", vpc, PORT_OF_PROXY)
                self.reached[responders].add((proxies, PORT_OF_PROXY))
                self.reached[proxies] |= doors


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
    rules = {group: len(reached) for group, reached in network.reached.items()}
    interfaces: Counter[str] = Counter()
    for (_members, vpc, _port), subnets in network.subnets.items():
        interfaces[vpc] += len(subnets)
    databases = len(configuration.databases)
    return StackCount(
        top=SHARED
        + (EMAILS + EMAIL * len(emails) if emails else 0)
        + len(nested)
        + sum(1 + each for each in rules.values()),
        nested=nested,
        outputs=SHARED_OUTPUTS + databases,
        filter_policies=databases,
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
        (stack.outputs, OUTPUTS_OF_STACK, "outputs, and CloudFormation allows {} per stack"),
        (
            stack.filter_policies,
            FILTER_POLICIES_OF_TOPIC,
            "subscriptions with a filter, and Amazon SNS allows {} per topic",
        ),
    ):
        if needed > limit:
            yield f"{file}: its databases need {needed:,} {what.format(f'{limit:,}')}; {split}"
    for (members, vpc, port), rules in stack.rules.items():
        if rules > RULES_OF_GROUP:
            yield (
                f"{file}: the {members} on port {port} in {vpc} reach {rules} security groups, and "
                f"Amazon EC2 allows {RULES_OF_GROUP} rules per security group; {split}"
            )


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
