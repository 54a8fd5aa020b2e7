"""The evidence bucket: what the responders saw and did, for those who look closer."""

from typing import Any

import boto3
from botocore.exceptions import ClientError

from connection_guard.adapters.aws.store_calls import CONFIG, store_errors

# What S3 answers where the object exists, and where another write of it is under way.
_NOT_THE_FIRST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_MISSING = frozenset({"NoSuchKey", "404"})


class EvidenceBucket:
    """One per process: its client takes long to make. Every method raises StoreError where S3 does
    not do it.
    """

    def __init__(self, name: str, session: Any = boto3) -> None:
        """Use the credentials of a session of boto3's, by default those of the environment."""
        self._name = name
        self._s3: Any = session.client("s3", config=CONFIG)

    def get(self, key: str) -> bytes | None:
        """Return an object, None where there is none (any more)."""
        with store_errors(f"bucket {self._name}"):
            try:
                body: bytes = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
        return body

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        """Write an object. Safe to repeat: the bucket keeps every version."""
        with store_errors(f"bucket {self._name}"):
            self._s3.put_object(Bucket=self._name, Key=key, Body=body, ContentType=content_type)

    def put_first(self, key: str) -> bool:
        """Return whether this call is the first that writes the empty object, in any process.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        with store_errors(f"bucket {self._name}"):
            try:
                self._s3.put_object(Bucket=self._name, Key=key, Body=b"", IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THE_FIRST:
                    return False
                raise
        return True
