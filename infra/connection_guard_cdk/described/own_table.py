"""The keys that a table of incidents needs."""

from collections.abc import Iterator, Mapping
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb

from connection_guard.core.incident.item import (
    DUE_AT,
    PARTITION_KEY,
    PENDING,
    PENDING_INDEX,
    PENDING_PROJECTION,
    SORT_KEY,
)
from connection_guard.errors import ConfigurationError
from connection_guard_cdk.described.cloudformation_properties import properties_of


def check_table(table: dynamodb.ITable) -> None:
    """Raise ConfigurationError where somebody's own table has other keys. Those of a table that
    exists already are not known.
    """
    resource = table.node.default_child
    if isinstance(resource, dynamodb.CfnTable | dynamodb.CfnGlobalTable):
        problems = [f"{table.node.path}: {each}" for each in _problems(properties_of(resource))]
        if problems:
            raise ConfigurationError(*problems)


def _problems(properties: Mapping[str, Any]) -> Iterator[str]:
    if _keys(properties, properties) != {"HASH": PARTITION_KEY, "RANGE": SORT_KEY}:
        yield (
            f'its keys are not those of incidents; give it partition_key "{PARTITION_KEY}" and '
            f'sort_key "{SORT_KEY}", both of type STRING'
        )
    indexes = {each["indexName"]: each for each in properties.get("globalSecondaryIndexes") or ()}
    index = indexes.get(PENDING_INDEX, {})
    if _keys(index, properties) != {"HASH": PENDING, "RANGE": DUE_AT} or not _is_complete(index):
        yield (
            f'it has no index of what is pending; add the global secondary index "{PENDING_INDEX}" '
            f'with partition_key "{PENDING}" and sort_key "{DUE_AT}", both of type STRING, which '
            f"includes {', '.join(PENDING_PROJECTION)}"
        )


def _keys(of: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of type STRING, the only type that the guard writes."""
    types = {each["attributeName"]: each["attributeType"] for each in table["attributeDefinitions"]}
    return {
        each["keyType"]: each["attributeName"]
        for each in of.get("keySchema") or ()
        if types[each["attributeName"]] == "S"
    }


def _is_complete(index: Mapping[str, Any]) -> bool:
    projection = index["projection"]
    included = projection.get("nonKeyAttributes") or ()
    return projection["projectionType"] == "ALL" or set(PENDING_PROJECTION) <= set(included)
