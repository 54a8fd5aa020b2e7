"""The template of a synthesized stack: its resources, and who may do what to which of them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws_cdk import App, Environment, Stack, Validations
from cdk_nag import AwsSolutionsChecks

from connection_guard.configuration.guard.guard_configuration import Configuration
from connection_guard_cdk.stack import ConnectionGuardStack
from tests.support.configurations import ACCOUNT, REGION

ROOT = Path(__file__).parents[2]
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]

# The resource types that attach a policy to a resource, and the property that names the resource.
POLICIES = {
    "AWS::IAM::Policy": "Roles",
    "AWS::SNS::TopicPolicy": "Topics",
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::S3::BucketPolicy": "Bucket",
}

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy. `holder` is the logical id of the role, or of the resource, that
    the policy is on.
    """

    holder: str
    effect: str
    principals: frozenset[str]
    actions: frozenset[str]
    resources: frozenset[str]
    condition: Mapping[str, Mapping[str, Any]]

    def names(self, action: str) -> bool:
        """Return whether the action is one of its own, by name or by a pattern."""
        return any(fnmatchcase(action.lower(), each.lower()) for each in self.actions)


@dataclass(frozen=True, slots=True)
class Template:
    """A template as plain text: "${Key.Arn}" is written for {"Fn::GetAtt": ["Key", "Arn"]}, and so
    on.
    """

    resources: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Template":
        """Return the template with the resources of its nested stacks among its own: these come
        after what their stack comes after.
        """
        body = json.loads(path.read_text())
        resources = plain(body["Resources"])
        for each in body["Resources"].values():
            if each["Type"] != "AWS::CloudFormation::Stack":
                continue
            nested = _nested_template(path, each["Properties"]["TemplateURL"])
            part = json.loads(nested.read_text())
            parameters = each["Properties"].get("Parameters", {})
            before = each.get("DependsOn", [])
            own = plain(_with_parameters(part, parameters)["Resources"])
            for resource in own.values():
                resource["DependsOn"] = [*resource.get("DependsOn", []), *before]
            resources |= own
        return cls(resources, plain(body.get("Outputs", {})))

    def of(self, resource_type: str) -> dict[str, Properties]:
        """Return the properties of each resource of the type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == resource_type
        }

    def statements(self) -> Iterator[Statement]:
        """Yield every statement of every policy: on roles, and on resources."""
        for resource_type, holders in POLICIES.items():
            for policy in self.of(resource_type).values():
                for holder in _texts(policy[holders]):
                    yield from _statements(referred(holder), policy["PolicyDocument"])
        for role, properties in self.of("AWS::IAM::Role").items():
            for policy in properties.get("Policies", []):
                yield from _statements(role, policy["PolicyDocument"])
        for key, properties in self.of("AWS::KMS::Key").items():
            yield from _statements(key, properties["KeyPolicy"])

    def allowing(self, action: str, resource: str) -> list[Statement]:
        """Return what allows the action on the resource (a logical id), under any condition."""
        roles = self.of("AWS::IAM::Role")

        def covers(pattern: str, holder: str) -> bool:
            if pattern == "*":  # in the policy of a resource that is the resource
                return holder == resource or holder in roles
            return f"${{{resource}}}" in pattern or f"${{{resource}." in pattern

        return [
            each
            for each in self.statements()
            if each.effect == "Allow"
            and each.names(action)
            and any(covers(pattern, each.holder) for pattern in each.resources)
        ]

    def who_may(self, action: str, resource: str) -> set[str]:
        """Return who may do that: roles by their logical ids, services by their names, and "root",
        which is the account, whose IAM policies decide.
        """
        return {
            "root" if principal.endswith(":root") else principal
            for each in self.allowing(action, resource)
            for principal in each.principals
        }

    def role_of(self, function: str) -> str:
        """Return the logical id of a function's role."""
        return referred(self.resources[function]["Properties"]["Role"])


def synthesize(configuration: Configuration, folder: Path) -> Path:
    """Return the template of the stack, checked by cdk-nag, in the folder of its cloud assembly."""
    app = App(outdir=str(folder), context=CONTEXT, analytics_reporting=False)
    ConnectionGuardStack(app, configuration)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    return folder / f"{configuration.target.stack_name}.template.json"


def template_of(build: Callable[[Stack], None]) -> Template:
    """Return the template of a stack with what is built in it, not checked by cdk-nag."""
    with TemporaryDirectory() as folder:
        app = App(outdir=folder, context=CONTEXT, analytics_reporting=False)
        stack = Stack(app, "stack", env=Environment(account=ACCOUNT, region=REGION))
        build(stack)
        app.synth()
        return Template.read(Path(folder) / "stack.template.json")


def synthesized(configuration: Configuration) -> Template:
    """Return the template of the stack, to read."""
    with TemporaryDirectory() as folder:
        return Template.read(synthesize(configuration, Path(folder)))


def _nested_template(path: Path, url: Any) -> Path:
    """Return the file of a nested template, which is uploaded under the digest of its content."""
    assets = json.loads(path.with_name(f"{path.name.partition('.')[0]}.assets.json").read_text())
    digest = Path(plain(url)).stem
    return path.with_name(assets["files"][digest]["source"]["path"])


def _with_parameters(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a part of a nested template with what the stack above passes to it."""
    match value:
        case {"Ref": name} if name in parameters:
            return parameters[name]
        case dict():
            return {key: _with_parameters(each, parameters) for key, each in value.items()}
        case list():
            return [_with_parameters(each, parameters) for each in value]
        case _:
            return value


def plain(value: Any) -> Any:
    """Return the value with every intrinsic function written out in the style of Fn::Sub."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Sub": str() as text}:
            return text
        case {"Fn::Select": [index, {"Fn::GetAZs": ""}]}:
            return f"${{AvailabilityZone{index}}}"
        case {"Fn::GetStackOutput": {"StackName": stack, "OutputName": output}}:
            return f"${{{plain(stack)}:{output}}}"
        case {"Fn::Join": [separator, parts]}:
            return separator.join(plain(part) for part in parts)
        case {"Fn::Select": [index, {"Fn::Split": [_, whole]}]}:
            return f"{plain(whole)}[{index}]"
        case dict():
            assert not any(key.startswith("Fn::") for key in value), value
            return {key: plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def referred(value: str) -> str:
    """Return the logical id in a reference."""
    found = re.fullmatch(r"\$\{(\w+)(?:\.\w+)?\}", value)
    assert found, value
    return found[1]


def _statements(holder: str, document: Mapping[str, Any]) -> Iterator[Statement]:
    for each in document["Statement"]:
        assert not {"NotAction", "NotResource", "NotPrincipal"} & set(each), (
            "nothing here reads those"
        )
        principals = each.get("Principal", {"Role": holder})
        yield Statement(
            holder=holder,
            effect=each["Effect"],
            principals=_texts(
                list(principals.values()) if isinstance(principals, dict) else principals
            ),
            actions=_texts(each["Action"]),
            resources=_texts(each["Resource"]),
            condition=each.get("Condition", {}),
        )


def _texts(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    return frozenset(text for each in value for text in _texts(each))
