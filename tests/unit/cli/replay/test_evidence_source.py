"""What is no text or no JSON, or larger than any evidence, is said to be so."""

import gzip
import io
import json

import pytest

from connection_guard.cli.replay import evidence_source
from connection_guard.cli.replay.evidence_source import as_json, as_text

PACKED = gzip.compress(json.dumps({"kind": "remediation"}).encode())


def test_gzip_is_unpacked() -> None:
    assert as_json(io.BytesIO(PACKED)) == {"kind": "remediation"}
    assert as_json(io.BytesIO(gzip.decompress(PACKED))) == {"kind": "remediation"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"kind": ', "cut off"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "damaged or truncated"),
        (PACKED[:-9], "damaged or truncated"),
        (PACKED[:12] + b"\0\0" + PACKED[14:], "damaged or truncated"),
    ],
)
def test_anything_else_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        as_json(io.BytesIO(body))


def test_what_is_larger_than_evidence_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_source, "MOST_BYTES", 1000)
    for body in (b"x" * 1001, gzip.compress(b"x" * 1001)):
        with pytest.raises(ValueError, match="larger than"):
            as_text(io.BytesIO(body))
    assert as_text(io.BytesIO(b"x" * 1000)) == "x" * 1000
