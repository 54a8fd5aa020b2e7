"""What the last statements of a session show about its use, as PostgreSQL's drivers and pools send
them.
"""

import re

from connection_guard.core.database.session import LastUse

# What a driver sends when it opens a session: nothing, a setting, a test of the connection, or a
# question about types. A text that ends in COMMIT or ROLLBACK has done work, and so has one that
# ends in a reset (RESET ALL, DISCARD ALL).
_OPENS = re.compile(
    r"""\s* (?: $
        | (?: SET | SHOW ) \b
        | SELECT \s+ (?: \? ;? \s* $ | (?: pg_catalog \. )? (?: version | set_config | current_ ) )
        | (?: SELECT | WITH ) \b .* \b pg_(?: type | catalog | namespace | range ) \b
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# What a driver or a pool sends between two uses of a session, in any application:
# transaction control, settings, resets, and a test of the connection.
_BETWEEN_USES = re.compile(
    r"""(?: ABORT | BEGIN | CLOSE | COMMIT | DEALLOCATE | DISCARD | END | RELEASE | RESET
            | ROLLBACK | SAVEPOINT | SET | SHOW | START \s TRANSACTION | UNLISTEN )\b
        | SELECT \s \? $
        | SELECT \s (?: pg_catalog \. )? (?: pg_advisory_unlock_all | set_config ) \b""",
    re.IGNORECASE | re.VERBOSE,
)
_RESETS = re.compile(r"(?:DISCARD|RESET|UNLISTEN)\b", re.IGNORECASE)
_SETS_UP = re.compile(r"(?:SET|SHOW)\b", re.IGNORECASE)


def last_use(masked_text: str) -> LastUse:
    """Return what the masked text of a session's last statements shows."""
    statements = [each.strip() for each in masked_text.split(";") if each.strip()]
    return LastUse(
        only_opened=bool(_OPENS.match(masked_text.rstrip("; ").rpartition(";")[2])),
        given_back=(
            not statements
            or bool(_RESETS.match(statements[-1]))
            or all(_SETS_UP.match(each) for each in statements)
        ),
        says_nothing=all(_BETWEEN_USES.match(each) for each in statements),
    )
