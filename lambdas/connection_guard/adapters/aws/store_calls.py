"""How AWS's stores are called: with little patience, and with errors of our own."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from connection_guard.errors import StoreError

# botocore retries where AWS throttles. Attempts that all time out leave time for what does not need
# the store.
CONFIG = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """Raise what boto3 raises as a StoreError that names the place."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreError(f"{place}: {error}") from error
