"""What a synthesized template lacks to be released: the name of its stack, and parts that only some
values of its parameters need.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any

Json = Any

PORTS_AND_GROUPS = (("ProxySecurityGroup", "DatabaseSecurityGroup"), ("ProxyPort", "Port"))

# What the parameter appears in exists only under the condition. A proxy and its database may share
# a security group, and EC2 refuses a rule that exists already.
CONDITIONS: Mapping[str, tuple[str, Json]] = {
    "SlackSecret": (
        "SlackIsNotified",
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "SlackSecret"}, ""]}]},
    ),
    "ProxySecurityGroup": (
        "ProxyHasItsOwnRules",
        {
            "Fn::Not": [
                {
                    "Fn::And": [
                        {"Fn::Equals": [{"Ref": one}, {"Ref": other}]}
                        for one, other in PORTS_AND_GROUPS
                    ]
                }
            ]
        },
    ),
}


def released(template: Mapping[str, Json], stack_name: str) -> dict[str, Json]:
    """Return the template with AWS::StackName in place of `stack_name`, and with the conditions of
    those parameters that it has.
    """
    result: dict[str, Json] = _with_stack_name(template, stack_name)
    conditions = {
        parameter: condition
        for parameter, condition in CONDITIONS.items()
        if parameter in result["Parameters"]
    }
    resources = result["Resources"]
    for parameter, (condition, _) in conditions.items():
        for resource in resources.values():
            _put_under_condition(resource, parameter, condition)
    _drop_needless_waits(resources)
    result["Conditions"] = {**result.get("Conditions", {}), **dict(conditions.values())}
    return with_short_names(result)


def _drop_needless_waits(resources: Mapping[str, dict[str, Json]]) -> None:
    """Drop each DependsOn that others imply: what is referred to is waited for anyway. What may not
    exist cannot be waited for.
    """
    always = {name for name, resource in resources.items() if "Condition" not in resource}
    waits = {name: _waits_of(resource) & always for name, resource in resources.items()}
    refers = {
        name: {each for each in always if each != name and _refers_to(each, resource)}
        for name, resource in resources.items()
    }
    for name, resource in resources.items():
        for each in sorted(waits[name]):
            rest = waits[name] - {each}
            if each in _awaited(refers[name] | rest, refers, waits):
                waits[name] = rest
        resource.pop("DependsOn", None)
        if waits[name]:
            resource["DependsOn"] = sorted(waits[name])


def _waits_of(resource: Mapping[str, Json]) -> set[str]:
    waits = resource.get("DependsOn", [])
    return {waits} if isinstance(waits, str) else set(waits)


def _awaited(
    names: set[str], refers: Mapping[str, set[str]], waits: Mapping[str, set[str]]
) -> set[str]:
    """Return the resources, and all that have to exist before them."""
    found: set[str] = set()
    ahead = set(names)
    while ahead:
        name = ahead.pop()
        found.add(name)
        ahead |= (refers[name] | waits[name]) - found
    return found


def with_short_names(template: dict[str, Json]) -> dict[str, Json]:
    """Return the template without the digests in logical IDs, where the rest is unique."""
    names = list(template["Resources"])
    short = {name: re.sub("[0-9A-F]{8}$", "", name) for name in names}
    counts = Counter([*short.values(), *template["Parameters"], *template["Conditions"]])
    text = json.dumps(template)
    for name in names:
        if counts[short[name]] == 1:
            text = re.sub(rf"\b{name}\b", short[name], text)
    shortened: dict[str, Json] = json.loads(text)
    return shortened


def _with_stack_name(value: Json, stack_name: str) -> Json:
    """Return the value with the name of the stack, and with texts in their shortest form."""
    match value:
        case str() if stack_name in value:
            return {"Fn::Sub": _substituted(value, stack_name)}
        case {"Fn::Join": ["", [*parts]]}:
            return _joined(parts, stack_name)
        case dict():
            return {key: _with_stack_name(each, stack_name) for key, each in value.items()}
        case list():
            return [_with_stack_name(each, stack_name) for each in value]
        case _:
            return value


def _joined(parts: list[Json], stack_name: str) -> Json:
    joined: list[Json] = []
    for is_text, run in groupby(parts, lambda part: _substituted(part, stack_name) is not None):
        if is_text:
            joined.append({"Fn::Sub": "".join(str(_substituted(each, stack_name)) for each in run)})
        else:
            joined += [_with_stack_name(each, stack_name) for each in run]
    return joined[0] if len(joined) == 1 else {"Fn::Join": ["", joined]}


def _substituted(part: Json, stack_name: str) -> str | None:
    """Return the part as it is in Fn::Sub, None for one that cannot be there."""
    match part:
        case str():
            return part.replace("${", "${!").replace(stack_name, "${AWS::StackName}")
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case _:
            return None


def _refers_to(name: str, value: Json) -> bool:
    return bool(re.search(rf'("Ref": "|"Fn::GetAtt": \["|\$\{{){name}\b', json.dumps(value)))


def _put_under_condition(resource: dict[str, Json], parameter: str, condition: str) -> None:
    """Put what the parameter appears in under the condition: a rule in a resource of its own, or
    one of a group's rules, or one of a policy's statements.
    """
    match resource:
        case {"Type": "AWS::EC2::SecurityGroupIngress"} if _refers_to(parameter, resource):
            resource["Condition"] = condition
        case {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"SecurityGroupEgress": list(parts)},
        } | {
            "Type": "AWS::IAM::Policy",
            "Properties": {"PolicyDocument": {"Statement": list(parts)}},
        }:
            parts[:] = [
                {"Fn::If": [condition, each, {"Ref": "AWS::NoValue"}]}
                if _refers_to(parameter, each)
                else each
                for each in parts
            ]
