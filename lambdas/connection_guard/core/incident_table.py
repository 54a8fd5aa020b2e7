"""The DynamoDB table of incidents: its keys, and what becomes an item.

The same run is the same item however often it is delivered.
"""

import json
from datetime import datetime, timedelta

from connection_guard.core.delivery import Delivery, FailureDelivery, ReportDelivery

PARTITION_KEY = "pk"
SORT_KEY = "sk"
EXPIRY = "expires_at"

KEPT_FOR = timedelta(days=400)

Item = dict[str, str | int | None]


def item_of(delivery: Delivery) -> Item:
    """A Report goes by its database, and the item says where it lies; a failure goes by its function, and is whole."""
    match delivery:
        case ReportDelivery():
            return {
                **_keys(f"database#{delivery.database}", "report", delivery.received_at, delivery.request_id),
                "kind": delivery.kind,
                "headline": delivery.headline,
                "event_key": delivery.event_key,
                "evidence": delivery.evidence_key,
            }
        case FailureDelivery():
            return {
                **_keys(f"function#{delivery.function_arn}", "failure", delivery.failed_at, delivery.request_id),
                "condition": delivery.condition,
                "error": delivery.error,
                "record": json.dumps(delivery.record),
            }


def _keys(partition: str, what: str, at: datetime, request_id: str) -> Item:
    """Within a partition what is of one kind lies together, the oldest first."""
    return {
        PARTITION_KEY: partition,
        SORT_KEY: f"{what}#{at.isoformat(timespec='microseconds')}#{request_id}",
        EXPIRY: int((at + KEPT_FOR).timestamp()),
    }
