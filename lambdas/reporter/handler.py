"""Where Lambda enters: `reporter.handler.lambda_handler`."""

import os

from connection_guard.adapters.store import Store
from connection_guard.core.delivery import read_delivery
from connection_guard.core.reporter_settings import ReporterSettings
from reporter.report import report

_store = Store(ReporterSettings.from_environment(os.environ))


def lambda_handler(event: object, _context: object) -> None:
    """Raises ForeignEventError or StoreError: Lambda tries again and then keeps the event aside, so nothing is lost."""
    report(read_delivery(event), _store)
