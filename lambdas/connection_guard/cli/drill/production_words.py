"""What looks like production, so that nobody exhausts it by a slip."""

import re
from collections.abc import Mapping

from connection_guard.core.words import quoted

# Also within a word, such as "ordersprod" and "prodeu", but not in "products" and "producer".
_SIGNS = re.compile(
    r"prod(?!u[ck]t(?!ion)|uce|ig)|prd|(?<![a-z])live(?![a-z])", flags=re.IGNORECASE
)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def production_signs(texts: Mapping[str, str | None]) -> list[str]:
    """Return what of these texts looks like production, each by what it is: `name "orders-prod"`.

    It errs towards production: "non-prod" and "reproduction" count, "products" and "delivery" do
    not.
    """
    return [f"{what} {quoted(text)}" for what, text in texts.items() if text and _has_sign(text)]


def _has_sign(text: str) -> bool:
    return _SIGNS.search(_HUMP.sub("-", text)) is not None
