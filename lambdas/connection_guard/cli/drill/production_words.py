"""What looks like production, so that nobody exhausts it by a slip."""

import re
from collections.abc import Mapping

from connection_guard.core.words import quoted

_WORDS = re.compile(r"(?<![a-z])(?:prod|production|prd|live)(?![a-z])")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def production_signs(texts: Mapping[str, str | None]) -> list[str]:
    """Return what of these texts looks like production, each by what it is: `name "orders-prod"`.

    A word counts, wherever it is: "orders-prod", "ordersProd" and "non-prod" do, "products" and
    "delivery" do not.
    """
    return [f"{what} {quoted(text)}" for what, text in texts.items() if text and _has_word(text)]


def _has_word(text: str) -> bool:
    return _WORDS.search(_HUMP.sub("-", text).lower()) is not None
