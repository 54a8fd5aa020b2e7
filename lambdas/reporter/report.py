"""What the reporter does with a delivery: store it, and log it in a line."""

from aws_lambda_powertools.logging import Logger

from connection_guard.adapters.store import Store
from connection_guard.core.delivery import Delivery, ReportDelivery
from connection_guard.core.incident_table import item_of

logger = Logger(service="connection-guard")


def report(delivery: Delivery, store: Store) -> None:
    """The evidence goes first, so that no item points to what is not there. Raises StoreError."""
    if isinstance(delivery, ReportDelivery):
        store.put_evidence(delivery.evidence_key, delivery.report)
        is_new = store.put_item(item_of(delivery))
        logger.info(
            delivery.headline,
            database=delivery.database,
            kind=delivery.kind,
            event_key=delivery.event_key,
            evidence=delivery.evidence_key,
            request_id=delivery.request_id,
            is_new=is_new,
        )
    else:
        is_new = store.put_item(item_of(delivery))
        logger.error(
            "the responder failed",
            function_arn=delivery.function_arn,
            condition=delivery.condition,
            error=delivery.error,
            request_id=delivery.request_id,
            is_new=is_new,
        )
