"""Removes the literals from query texts: what a client wrote into a statement is personal data."""

import re

MOST_CHARACTERS = 1000

_SPACE = r"[ \t\n\r\f\v]"
_LETTER = r"[A-Za-z_\x80-\U0010ffff]"
_TOKEN = re.compile(
    rf"""
      (?P<gap> {_SPACE}++ | --[^\n\r]*+ | /\* )
    | (?P<literal>
        [eE]' (?: [^'\\]++ | \\. | '' )*+ (?: ' | .*+ )
        # Where standard_conforming_strings is off, a backslash escapes the quote that follows. The
        # text does not show whether it is off: from such a quote on it is unknown what is a
        # literal, and all of it counts as one.
      | (?: [bBnNxX] | [uU]& )? ' (?: [^'\\]++ | \\[^'] | '' )*+ (?: ' | .*+ )
      | \$(?P<tag> (?: {_LETTER} (?: {_LETTER} | [0-9] )*+ )? )\$ .*? (?: \$(?P=tag)\$ | \Z )
      | \.?[0-9] (?: [eE][+-] | {_LETTER} | [0-9.] )*+
      )
    | (?P<quoted> " (?: [^"]++ | "" )*+ "? )
    | (?P<kept>
        (?: (?! [eEbBnNxX]' | [uU]&' ) {_LETTER} (?: {_LETTER} | [0-9$] )*+
          | \$[0-9]++
          | [ ] (?! {_SPACE} | -- | /\* )
          | - (?! - ) | / (?! \* ) | \. (?! [0-9] )
          | [!#%&()*+,:;<=>?@\[\\\]^`{{|}}~]
        )++
      | .
      )
    """,
    re.VERBOSE | re.DOTALL,
)
"""PostgreSQL's tokens, whole or cut off at the end of the text (PostgreSQL manual, 4.1 "Lexical
Structure").
"""

_STATEMENT = re.compile(r'(?:"(?:[^"]++|"")*+"?|[^;"])++')
# SET, and the statements that give a role, a database or a function settings, up to the value: it
# may have no quotes (PostgreSQL manual, SET, ALTER ROLE, ALTER DATABASE, CREATE FUNCTION).
# UPDATE ... SET takes literals only in quotes.
_SETTING = re.compile(
    r"""
    [ ]? (?> set \b
      | (?: alter[ ](?:role|user|group|database|system|function|procedure|routine)
          | create[ ](?:or[ ]replace[ ])?(?:function|procedure) ) \b .*? \bset\b )
    (?> .*? (?: = | \bto\b ) ) [ ]? (?= [^ ] )
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

_COMMENT_BOUNDARY = re.compile(r"/\*|\*/")
_LIST = re.compile(r"\?(?: ?, ?\?)+")
_LISTEN = re.compile(r"(?:^|;) ?listen(?![^ ;\"])", re.IGNORECASE)


def mask_query(text: str) -> str:
    """Return the statement on one line, with a `?` for each literal, list of literals or value of a
    setting, without comments, and in at most 1,000 characters.

    The text may be cut off anywhere, as pg_stat_activity does at track_activity_query_size: an
    unterminated literal is masked to the end. Names, quoted or not, and parameters ($1) stay.
    """
    masked = _LIST.sub("?", _STATEMENT.sub(_without_setting, _without_literals(text)))
    return masked[:MOST_CHARACTERS].rstrip(" ")


def is_listen(text: str) -> bool:
    """Return whether LISTEN is among the statements of an unmasked query text."""
    return "listen" in text.lower() and bool(_LISTEN.search(_without_literals(text, quoted='""')))


def _without_setting(statement: re.Match[str]) -> str:
    setting = _SETTING.match(statement[0])
    return f"{setting[0]}?" if setting else statement[0]


def _without_literals(text: str, quoted: str | None = None) -> str:
    """Return the text with `?` for literals, one space for comments and white space, and quoted
    identifiers as they are or as `quoted`.
    """
    written = [" "]
    position = 0
    while token := _TOKEN.match(text, position):
        position = token.end()
        match token.lastgroup:
            case "gap":
                if token[0] == "/*":
                    position = _end_of_comment(text, position)
                if written[-1] != " ":
                    written.append(" ")
            case "literal":
                written.append("?")
            case "quoted" if quoted is not None:
                written.append(quoted)
            case _:
                written.append(token[0])
    return "".join(written).lstrip(" ")


def _end_of_comment(text: str, start: int) -> int:
    """Return where the comment that opened just before `start` ends: comments nest."""
    depth = 1
    for boundary in _COMMENT_BOUNDARY.finditer(text, start):
        depth += 1 if boundary[0] == "/*" else -1
        if depth == 0:
            return boundary.end()
    return len(text)
