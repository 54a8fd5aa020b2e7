"""Which messages of a client make RDS Proxy pin it to its server connection.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html
"""

import re

LONGEST_STATEMENT_NOT_PINNED = 16 * 1024  # bytes
PINNING = re.compile(
    rb"""(?: ^ | ; ) (?: \s | --[^\n]*\n | /\*.*?\*/ )*
         (?: SET | RESET | PREPARE | EXECUTE | DEALLOCATE | DISCARD | LISTEN | LOAD | DECLARE
           | CREATE \s+ (?: (?:GLOBAL|LOCAL) \s+ )? TEMP (?:ORARY)? ) \b
       | \b (?: set_config | nextval | setval | pg_(?:try_)?advisory_lock(?:_shared)? ) \s* \(""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def pins(message: bytes) -> bool:
    """Return whether a client's message changes its session in the eyes of RDS Proxy, which judges
    by the text of the statement.
    """
    if message[:1] == b"Q":
        sql = message[5:-1]
    elif message[:1] == b"P":
        name, sql, _ = message[5:].split(b"\0", 2)
        if name:
            return True  # only one server connection knows the statement's name
    else:
        return False
    return len(sql) > LONGEST_STATEMENT_NOT_PINNED or PINNING.search(sql) is not None
