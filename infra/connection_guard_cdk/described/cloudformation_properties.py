"""What the app itself knows of a resource: its properties as CloudFormation is to get them."""

from collections.abc import Mapping
from hashlib import sha256
from json import dumps
from typing import Any

from aws_cdk import CfnResource, Reference, Stack, Token, Tokenization
from constructs import Construct, IConstruct

from connection_guard.configuration.toml.readers import MistakeError, Reader


def properties_of(resource: CfnResource) -> Mapping[str, Any]:
    """Return the properties of the resource, with every value that is known before deployment; the
    others are CloudFormation's functions, such as {"Ref": "Orders"}.
    """
    # Its attributes are no way: jsii returns an empty structure for one that is computed later.
    properties: Mapping[str, Any] = Stack.of(resource).resolve(resource._cfn_properties)  # noqa: SLF001
    return properties


def referred(value: object) -> IConstruct | None:
    """Return the resource that the value is a reference to, None where it is none."""
    match value:
        case str() if Token.is_unresolved(value):
            token = Tokenization.reverse_string(value).first_token
        case int() | float() if Token.is_unresolved(value):
            token = Tokenization.reverse_number(value)
        case _:
            return None
    return token.target if isinstance(token, Reference) else None


def free_name(scope: Construct, kind: str, *values: object) -> str:
    """Return a name that no child of the scope has, made of what it belongs to.

    It does not depend on the other children: one that is renamed in an update would be created
    before its former self is deleted, and EC2 refuses a second one.
    """
    name = ":".join([kind, *(_name_of(scope, each) for each in values)])
    free, count = name, 1
    while scope.node.try_find_child(free) is not None:
        count += 1
        free = f"{name}-{count}"
    return free


def _name_of(scope: Construct, value: object) -> str:
    """Return the value itself where it is known, or else the path of what it refers to."""
    if not Token.is_unresolved(value):
        return str(value)
    stack = Stack.of(scope)
    resource = referred(value)
    if resource is not None:
        return resource.node.path.removeprefix(f"{stack.node.path}/")
    return sha256(dumps(stack.resolve(value), sort_keys=True).encode()).hexdigest()[:8]


def is_known(value: object) -> bool:
    """Return whether the value is known before deployment."""
    # jsii takes no object of Python's own.
    takes = isinstance(value, str | int | float | list)
    return not isinstance(value, Mapping) and not (takes and Token.is_unresolved(value))


def literal(name: str, read: Reader[object]) -> Reader[object]:
    """Return a reader of the argument `name` that refuses what is known only at deployment."""

    def read_literal(value: object) -> object:
        if not is_known(value):
            raise MistakeError(
                f"is known only at deployment (a token), but is needed now; pass {name} with a "
                "literal value"
            )
        return read(value)

    return read_literal
