"""What the app itself knows of a resource: its properties as CloudFormation is to get them."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import CfnResource, Reference, Stack, Token, Tokenization
from constructs import IConstruct

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
    if not isinstance(value, str) or not Token.is_unresolved(value):
        return None
    token = Tokenization.reverse_string(value).first_token
    return token.target if isinstance(token, Reference) else None


def is_known(value: object) -> bool:
    """Return whether the value is known before deployment."""
    return not isinstance(value, Mapping) and not Token.is_unresolved(value)


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
