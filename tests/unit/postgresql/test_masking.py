"""Query texts leave the responder without what their clients wrote into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.adapters.postgresql.rows.masking import is_listen, mask_query

# All that could end a literal or comment too early, and Ω, which is written nowhere else: where it
# comes out, a literal's content did.
CONTENT = st.text(st.sampled_from("Ω'\"\\$/*-;,a1eE \n"), max_size=12)
TAGS = st.sampled_from(["", "a", "_tag9", "é"])
BETWEEN = st.sampled_from(
    [" ", ", ", "SELECT ", '"its"."1" ', "t1.c2 = ", "$1", "\n", "||", "e", "(", "x$1 ", "-", "; "]
)


def plain(content: str) -> str:
    return "'" + content.replace("'", "''") + "'"


def escaped(content: str) -> str:
    return "'" + content.replace("\\", "\\\\").replace("'", "\\'") + "'"


def dollar_quoted(content: str, tag: str) -> str:
    return f"${tag}${content.replace('$', '')}${tag}$"


def comment(content: str) -> str:
    return (
        f"/*{content.replace('/', '').replace('*', '')} /* nested */ "
        f"{content.replace('/', '').replace('*', '')}*/"
    )


def line_comment(content: str) -> str:
    return f"--{content.replace(chr(10), '')}\n"


def statements(*literals: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """SQL text of these literals, comments, and text between them, cut off somewhere."""
    always = (
        CONTENT.map(lambda content: "E" + escaped(content)),
        CONTENT.map(lambda content: "U&" + plain(content)),
        st.builds(lambda content, tag: " " + dollar_quoted(content, tag), CONTENT, TAGS),
        CONTENT.map(comment),
        CONTENT.map(line_comment),
    )
    parts = st.lists(st.one_of(*literals, *always, BETWEEN), max_size=12).map(" ".join)
    return st.builds(lambda text, cut: text[: len(text) - cut], parts, st.integers(0, 5))


@given(statements(CONTENT.map(plain)))
def test_no_literal_survives(text: str) -> None:
    assert "Ω" not in mask_query(text)


SETTINGS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(
            [
                "SET ",
                "set\tlocal ",
                "SET SESSION ",
                "/*x*/SET ",
                "ALTER ROLE r SET ",
                'ALTER USER "=" SET ',
            ]
        ),
        st.sampled_from(["app.token", '"app"."token"', "a . b", '"a"']),
        st.sampled_from(["=", " = ", " TO ", "\nto\n", " /*c*/ to --d\n"]),
        st.text("ΩabTO", min_size=1, max_size=9),
    ),
)


@given(
    st.lists(SETTINGS | st.sampled_from(["SELECT 1", "UPDATE t SET a = b", ""]), max_size=4),
    st.integers(0, 9),
)
def test_no_value_of_a_setting_survives(texts: list[str], cut: int) -> None:
    text = "; ".join(texts)
    assert "Ω" not in mask_query(text[: len(text) - cut])


@given(statements(CONTENT.map(escaped)))
def test_no_literal_survives_where_standard_conforming_strings_is_off(text: str) -> None:
    assert "Ω" not in mask_query(text)


@given(st.one_of(st.text(), st.text(st.sampled_from("'\"\\$/*-;,?.a1eEuU&x \n"))))
def test_masking_what_is_masked_changes_nothing(text: str) -> None:
    masked = mask_query(text)
    assert mask_query(masked) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("SELECT 'it''s', E'it\\'s', B'01', x'1F', N'n', U&'d\\0061'", "SELECT ?"),
        ("SELECT $$a 'b' $x$ $$ || $tag$ $$ $tag$", "SELECT ? || ?"),
        ("SELECT 1, 1.5, .5, 1., 1e10, 1.5E-10, 0xFF, 0b1, 1_000", "SELECT ?"),
        ("SELECT t1.c2, $1 FROM t1$2 WHERE é3 = 4", "SELECT t1.c2, $1 FROM t1$2 WHERE é3 = ?"),
        ('SELECT "it\'s 1", "a""b" FROM "order 66"', 'SELECT "it\'s 1", "a""b" FROM "order 66"'),
        (
            "SELECT a -- for jane@example.com\n  FROM t /* /* ticket */ 77 */ WHERE b",
            "SELECT a FROM t WHERE b",
        ),
        ("SELECT a\r\n\t FROM   t ", "SELECT a FROM t"),
        ("SELECT a - 1, a/b, a->>'k'", "SELECT a - ?, a/b, a->>?"),
        ("WHERE a = 'cut o", "WHERE a = ?"),
        ("WHERE a = $q$cut o", "WHERE a = ?"),
        ("WHERE a = 1 /* cut o", "WHERE a = ?"),
        ("WHERE a = 'C:\\' OR b = 'x'", "WHERE a = ?"),
        ("WHERE a = 'C:\\\\' OR b = 'x'", "WHERE a = ? OR b = ?"),
        ("WHERE a = $1$$secret$$", "WHERE a = $1?"),
        ("SET app.token = abc123", "SET app.token = ?"),
        ("set\n  local/**/app.token to abc123 ; SELECT a", "set local app.token to ?; SELECT a"),
        ('BEGIN; SET SESSION "app".token=abc123, def', 'BEGIN; SET SESSION "app".token=?'),
        ('SET app.token = "abc;123"; COMMIT', "SET app.token = ?; COMMIT"),
        (
            'ALTER ROLE "a=b" IN DATABASE d SET app.token TO abc123',
            'ALTER ROLE "a=b" IN DATABASE d SET app.token TO ?',
        ),
        (
            "ALTER DATABASE d SET app.token = abc; SELECT b = c",
            "ALTER DATABASE d SET app.token = ?; SELECT b = c",
        ),
        (
            "CREATE FUNCTION f() RETURNS int SET app.token = abc AS 'x'",
            "CREATE FUNCTION f() RETURNS int SET app.token = ?",
        ),
        ("UPDATE t SET a = b, c = d WHERE e = f", "UPDATE t SET a = b, c = d WHERE e = f"),
        (
            "ALTER TABLE t SET (fillfactor = x), ALTER c SET DEFAULT d",
            "ALTER TABLE t SET (fillfactor = x), ALTER c SET DEFAULT d",
        ),
        (
            "SET ROLE app; SET SESSION AUTHORIZATION app",
            "SET ROLE app; SET SESSION AUTHORIZATION app",
        ),
        ("SET TRANSACTION READ ONLY; SELECT a = b", "SET TRANSACTION READ ONLY; SELECT a = b"),
    ],
)
def test_names_keywords_and_structure_stay(text: str, masked: str) -> None:
    assert mask_query(text) == masked


def test_statements_that_differ_only_in_their_values_become_equal() -> None:
    one = mask_query("/* request 1 */ SELECT * FROM t WHERE a = 'x' AND b IN (1, 2, 3)")
    another = mask_query("/* request 2 */ SELECT *\nFROM t WHERE a = 'yyy' AND b IN (4)")
    assert one == another == "SELECT * FROM t WHERE a = ? AND b IN (?)"


def test_the_text_is_cut_only_after_masking() -> None:
    assert mask_query("SELECT '" + "x" * 5000 + "' FROM t") == "SELECT ? FROM t"
    assert len(mask_query("SELECT a, " * 500)) == 1000 - len(" ")


@pytest.mark.parametrize(
    "piece",
    [
        "'",
        "\\'",
        "'\\",
        "e'",
        "/*",
        "--",
        '"',
        "$",
        "$a",
        "$a$",
        "1e+",
        "? , ",
        "a ",
        "/ ",
        "alter role set ",
        "; set to",
    ],
)
def test_hostile_text_takes_no_more_than_linear_time(piece: str) -> None:
    """Quadratic work over 300,000 characters would keep this test from ever ending."""
    assert len(mask_query(piece * 300_000)) <= 1000


@pytest.mark.parametrize(
    "text",
    [
        "LISTEN orders",
        "listen orders;",
        'LISTEN"orders"',
        "/* sqlcommenter='x' */ -- worker\n\tListen orders",
        "BEGIN; LISTEN orders; COMMIT",
        "SELECT 'a;b' ; LISTEN orders",
    ],
)
def test_a_listener_is_known(text: str) -> None:
    assert is_listen(text)


@pytest.mark.parametrize(
    "text",
    [
        "UNLISTEN *",
        "SELECT 1 -- ; LISTEN orders",
        "SELECT '; LISTEN orders'",
        'SELECT 1 AS "; listen "',
        "DO $$BEGIN; LISTEN orders; END$$",
        "listeners",
        "listen$1",
        "SELECT listen FROM t",
        "NOTIFY listen",
        "",
    ],
)
def test_what_only_mentions_listen_is_not_a_listener(text: str) -> None:
    assert not is_listen(text)
