"""A released template as CloudFormation has it once its parameters have values."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cdk.template import Template
from tests.support.configurations import ACCOUNT, REGION

STACK = "connection-guard"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": STACK}
VALUES = {
    "DatabaseIdentifier": "Database",
    "Endpoint": "orders.c0ffee.eu-central-1.rds.amazonaws.com",
    "ResourceId": "db-ORDERS",
    "UsableConnections": "70",
    "Vpc": "vpc-00000000000000001",
    "Subnets": "subnet-00000000000000001,subnet-00000000000000002",
    "DatabaseSecurityGroup": "sg-000000000000000db",
    "Email": "on-call@example.com",
    "CodeBucket": "packages",
}
PROXY = {
    "ProxyEndpoint": "orders.proxy-c0ffee.eu-central-1.rds.amazonaws.com",
    "ProxyResourceId": "prx-ORDERS",
    "ProxySecurityGroup": "sg-000000000000000fa",
}
NOTHING = object()


def deployed(template: Path, **values: str) -> Template:
    """Return the template with these values, or else the defaults, in place of its parameters."""
    body = json.loads(template.read_text())
    chosen = {
        name: values[name] if name in values else str(parameter["Default"])
        for name, parameter in body["Parameters"].items()
    }
    lists = {name for name in chosen if body["Parameters"][name]["Type"].startswith("List<")}
    stack = _Stack(
        {
            **PSEUDO,
            **{name: text.split(",") if name in lists else text for name, text in chosen.items()},
        },
        body["Conditions"],
    )
    resources = {
        name: {key: each for key, each in resource.items() if key != "Condition"}
        for name, resource in body["Resources"].items()
        if "Condition" not in resource or stack.holds(resource["Condition"])
    }
    return Template(stack.plain(resources), stack.plain(body["Outputs"]))


class _Stack:
    def __init__(self, values: Mapping[str, Any], conditions: Mapping[str, Any]) -> None:
        self._values = values
        self._conditions = conditions

    def holds(self, condition: str) -> bool:
        return self._is_true(self._conditions[condition])

    def _is_true(self, expression: Any) -> bool:
        match expression:
            case {"Fn::Not": [one]}:
                return not self._is_true(one)
            case {"Fn::And": [*several]}:
                return all(map(self._is_true, several))
            case {"Fn::Equals": [one, other]}:
                return bool(self.plain(one) == self.plain(other))
        raise AssertionError(expression)

    def plain(self, value: Any) -> Any:
        """Return the value in the style of the other templates' tests."""
        match value:
            case {"Ref": "AWS::NoValue"}:
                return NOTHING
            case {"Ref": name}:
                return self._values.get(name, f"${{{name}}}")
            case {"Fn::GetAtt": [name, attribute]}:
                return f"${{{name}.{attribute}}}"
            case {"Fn::If": [condition, one, other]}:
                return self.plain(one if self.holds(condition) else other)
            case {"Fn::Join": [separator, parts]}:
                return separator.join(map(self.plain, parts))
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{([\w:]+)\}", self._substituted, text).replace("${!", "${")
            case {"Fn::Select": [index, {"Fn::Split": [_, whole]}]}:
                return f"{self.plain(whole)}[{index}]"
            case dict():
                assert not any(key.startswith("Fn::") for key in value), value
                return {key: self.plain(each) for key, each in value.items()}
            case list():
                return [each for each in map(self.plain, value) if each is not NOTHING]
            case _:
                return value

    def _substituted(self, reference: re.Match[str]) -> str:
        return str(self._values.get(reference[1], reference[0]))
