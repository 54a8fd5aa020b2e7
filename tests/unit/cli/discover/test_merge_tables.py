"""Merging into a guard.toml: what AWS knows is updated, and nothing else changes by a byte."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.cli.discover.account.discovered import Surroundings
from connection_guard.cli.discover.merge_tables import Merged, TableChange, merge_tables
from connection_guard.cli.discover.wanted_tables import WantedTable, wanted_table
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.guard.guard_file import parse_configuration
from connection_guard.errors import ConfigurationError
from tests.support.configurations import ACCOUNT, EXAMPLE_FILE, REGION
from tests.unit.cli.discover.rds_answers import (
    GROUP,
    VPC,
    a_found_cluster,
    a_found_instance,
    a_found_proxy,
    a_proxy,
    a_secret_of,
    with_secrets,
)

PROXY = a_found_proxy(a_proxy())
HOST = f"orders.c0ffee.{REGION}.rds.amazonaws.com"
HEAD = f"""\
[deploy]
account = "{ACCOUNT}"
region = "{REGION}"

[notifications]
emails = ["platform@example.com"]
"""
TABLE = f"""
# The shop's main database.
[[databases]]
instance = "orders" # since 2019
endpoint = '{HOST}'
resource_id = "db-ORDERS"
instance_class = "db.m7g.large"
vpc = "{VPC}"
subnets = ["subnet-0000000f"]
availability_zones = ["{REGION}a"]
security_groups = ["{GROUP}"]
owner = "Zoë" # ask her
warning = 70
"""
APPLICATIONS = """
# Who owns what.
[[applications]]
name = "checkout*"
owner = "team-checkout"
"""


def orders(**changes: Any) -> WantedTable:
    return wanted_table(a_found_instance(**changes), Surroundings(public_subnets=frozenset()))


def behind(*proxies: Any, **changes: Any) -> WantedTable:
    surroundings = Surroundings(public_subnets=frozenset(), proxies=proxies)
    return wanted_table(a_found_instance(**changes), surroundings)


def merged(text: str, *wanted: WantedTable, name: str = "guard.toml") -> Merged:
    existing = {(each.kind, each.identifier) for each in wanted} | {("instance", "wiki")}
    return merge_tables(text, name, wanted, existing, ACCOUNT, REGION)


def keys_of(result: Merged) -> list[str | None]:
    return [change.key for change in result.changes]


# A new file


def test_a_new_file_can_be_deployed_once_somebody_is_notified() -> None:
    new = merged("", orders(), behind(PROXY)).text

    with pytest.raises(ConfigurationError) as mistakes:
        parse_configuration(merged("", orders()).text, Path("guard.toml"), None)
    assert "nobody would be notified" in str(mistakes.value)
    assert len(str(mistakes.value).splitlines()) == 1
    text = merged("", behind(PROXY)).text.replace("# emails", "emails")
    [database] = parse_configuration(text, Path("guard.toml"), None).databases
    assert (database.identifier, database.host) == ("orders", HOST)
    assert database.proxy is not None
    assert new.startswith("# Which databases Connection Guard watches")


def test_another_file_names_a_stack_of_its_own() -> None:
    text = merged("", orders(), name="shop & co.toml").text

    assert tomllib.loads(text)["deploy"]["stack_name"] == "ConnectionGuard-shop-co"


def test_a_proxy_with_secrets_says_what_a_person_decides() -> None:
    proxy = a_found_proxy(with_secrets(a_secret_of("app")))
    text = merged("", behind(proxy)).text

    assert "# For you to decide: the proxy logs in with secrets" in text
    assert tomllib.loads(text)["databases"][0]["proxy"]["role"] == "connection_guard_proxy"


def test_names_from_outside_cannot_write_toml_of_their_own() -> None:
    hostile = 'x"\n[deploy]\naccount = "1"\n#\x1b'
    proxies = (PROXY, a_found_proxy(with_secrets(name="a\n[notifications]\n")))
    result = merged("", orders(DBInstanceClass=hostile, DBInstanceIdentifier="a"), behind(*proxies))
    first, second = tomllib.loads(result.text)["databases"]

    assert first["instance_class"] == hostile
    assert "proxy" in second
    assert (
        "# It has other proxies, which could be written instead: a [notifications]." in result.text
    )


# An existing file


def test_a_file_that_is_right_stays_as_it_is() -> None:
    text = HEAD + TABLE + APPLICATIONS
    result = merged(text, orders())

    assert result.text == text
    assert not result.changes


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_differs_is_written(newline: str) -> None:
    text = (HEAD + TABLE + APPLICATIONS).replace("\n", newline)
    result = merged(text, orders(DBInstanceClass="db.m7g.xlarge"))

    assert result.text == text.replace("db.m7g.large", "db.m7g.xlarge")
    assert result.changes == (
        TableChange("orders", "instance_class", "db.m7g.large", "db.m7g.xlarge"),
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_new_key_follows_those_that_it_belongs_to(newline: str) -> None:
    text = (HEAD + TABLE).replace("\n", newline).replace('m7g.large"', 'm7g.large" # big')
    known = Surroundings(public_subnets=frozenset(), memory_gib={"db.z9.large": 8.0})
    database = a_found_instance(DBInstanceClass="db.z9.large")
    result = merged(text, wanted_table(database, known))

    lines = f'instance_class = "db.z9.large" # big{newline}memory_gib = 8{newline}vpc'
    assert lines in result.text
    assert result.changes[1] == TableChange("orders", "memory_gib", None, 8)


def test_a_key_that_no_longer_applies_stays_as_a_comment() -> None:
    text = HEAD + TABLE.replace("vpc", "memory_gib = 8  # measured\nvpc", 1)
    result = merged(text, orders())

    assert "# memory_gib = 8  # measured\nvpc" in result.text
    assert result.changes == (TableChange("orders", "memory_gib", 8, None),)


@pytest.mark.parametrize(
    "kept",
    [
        TABLE.replace(HOST, HOST.upper()),
        TABLE.replace(HOST, f"{HOST}:5432"),
        TABLE.replace('"orders"', '"Orders"'),
        TABLE.replace('"orders"', "'orders'").replace("[[databases]]", "[[ databases ]] # x"),
    ],
)
def test_what_says_the_same_in_other_words_is_kept(kept: str) -> None:
    assert merged(HEAD + kept, orders()).text == HEAD + kept


def test_where_the_guard_runs_is_decided_anew_only_in_another_vpc() -> None:
    text = HEAD + TABLE.replace(VPC, "vpc-0000000f")

    assert keys_of(merged(text, orders())) == ["vpc", "subnets", "availability_zones"]


def test_one_of_the_security_groups_is_enough() -> None:
    groups = [{"VpcSecurityGroupId": each, "Status": "active"} for each in (GROUP, "sg-0000000f")]

    assert not merged(HEAD + TABLE, orders(VpcSecurityGroups=groups)).changes
    assert keys_of(merged(HEAD + TABLE, orders(VpcSecurityGroups=groups[1:]))) == [
        "security_groups"
    ]


def test_a_renamed_database_is_known_by_its_resource_id() -> None:
    result = merged(HEAD + TABLE, orders(DBInstanceIdentifier="shop", DbiResourceId="db-ORDERS"))

    assert 'instance = "shop" # since 2019' in result.text
    assert result.changes[0] == TableChange("shop", "instance", "orders", "shop")


def test_a_restored_database_is_known_by_its_name() -> None:
    assert keys_of(merged(HEAD + TABLE, orders(DbiResourceId="db-NEW"))) == ["resource_id"]


def test_new_databases_are_added_at_the_end_and_found_there_again() -> None:
    text = HEAD + TABLE + APPLICATIONS
    books, wiki = (
        orders(DBInstanceIdentifier="books", DbiResourceId="db-BOOKS"),
        orders(DBInstanceIdentifier="wiki", DbiResourceId="db-WIKI"),
    )
    first = merged(text, books)
    second = merged(first.text, orders(), books, wiki)

    assert first.text.startswith(text)
    assert second.text.startswith(first.text)
    assert [each.database for each in second.changes] == ["wiki"]
    assert not merged(second.text, orders(), books, wiki).changes


def test_a_cluster_and_an_instance_may_have_the_same_name() -> None:
    surroundings = Surroundings(public_subnets=frozenset())
    cluster = wanted_table(a_found_cluster(DBClusterIdentifier="orders"), surroundings)
    result = merged(HEAD + TABLE, cluster)

    assert keys_of(result) == [None]


def test_tables_that_a_file_lacks_are_added() -> None:
    result = merged("# mine\n" + TABLE, orders())

    assert result.text.startswith("# mine\n" + TABLE)
    assert tomllib.loads(result.text)["deploy"]["region"] == REGION
    assert "# Which databases" not in result.text


def test_a_file_without_a_last_line_end_gets_one() -> None:
    result = merged(HEAD.rstrip(), orders())

    assert result.text.startswith(f"{HEAD}\n[[databases]]\n")


# Proxies


IAM_PROXY = f"""
[databases.proxy]  # the shared one
endpoint = "{PROXY.host}"
resource_id = "{PROXY.resource_id}"
security_groups = ["sg-0000000f"] # old
authentication = "iam"
"""


@pytest.mark.parametrize(
    "proxy",
    [
        IAM_PROXY,
        f'proxy = {{ resource_id = "{PROXY.resource_id}", security_groups = ["sg-0000000f"] }}\n',
        f'proxy.resource_id = "{PROXY.resource_id}"\nproxy.security_groups = ["sg-0000000f"] # x\n',
        (
            f'proxy.resource_id = "{PROXY.resource_id}"\nrunbook = "https://wiki"\n'
            'proxy.security_groups = ["sg-0000000f"] # far from the rest\n'
        ),
    ],
)
def test_a_proxy_is_updated_however_it_is_written(proxy: str) -> None:
    text = HEAD + TABLE + proxy + APPLICATIONS
    result = merged(text, behind(PROXY))

    assert result.text == text.replace("sg-0000000f", PROXY.security_groups[0])
    assert keys_of(result) == ["proxy.security_groups"]


@pytest.mark.parametrize(
    "kept",
    [
        '[databases.proxy]\ncreate = true\nauthentication = "iam"\n',
        IAM_PROXY.replace(PROXY.host, f"mine.endpoint.proxy-c0ffee.{REGION}.rds.amazonaws.com"),
    ],
)
def test_a_proxy_that_a_person_decided_on_is_kept(kept: str) -> None:
    result = merged(HEAD + TABLE + kept, behind(PROXY))

    assert not result.changes
    assert not result.notes


def test_a_proxy_is_not_added_to_a_table_but_noted() -> None:
    result = merged(HEAD + TABLE, behind(PROXY))

    assert not result.changes
    [(database, note)] = result.notes
    assert (database, note.startswith("proxy orders-proxy has it as target")) == ("orders", True)


def test_a_proxy_that_is_gone_is_kept_and_noted() -> None:
    result = merged(HEAD + TABLE + IAM_PROXY, orders())

    assert not result.changes
    assert "does not have it as target; it is kept" in result.notes[0][1]


# What cannot be merged into


@pytest.mark.parametrize(
    "text",
    [
        'databases = [{ instance = "orders" }]\n',
        "databases = 1\n",
        "databases = []\n",
        '[databases]\ninstance = "orders"\n',
    ],
)
def test_databases_that_are_no_tables_of_their_own_are_refused(text: str) -> None:
    with pytest.raises(UserMistakeError, match="write \\[\\[databases\\]\\], in double brackets"):
        merged(text, orders())


def test_a_mistake_in_toml_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        merged("[deploy\n", orders())


def test_the_example_can_be_merged_into() -> None:
    example = EXAMPLE_FILE.read_text()
    result = merged(example, orders())

    assert set(keys_of(result)) == {
        "endpoint", "resource_id", "vpc", "subnets", "availability_zones", "security_groups",
    }  # fmt: skip
    assert comments_of(result.text) == comments_of(example)


# Any file

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(
    lambda text: f"# {text} ~"
)
VALUES = {
    "instance_class": ['"db.m7g.large"', '"db.t3.micro"', "''", "7"],
    "endpoint": [f'"{HOST}"', f'"{HOST}:5432"', '"else"', "[]"],
    "resource_id": ['"db-ORDERS"', '"db-OTHER"'],
    "vpc": [f'"{VPC}"', '"vpc-0000000f"'],
    "subnets": ['["subnet-0000000f"]', '[\n  "a", # one ~\n  "b" # two ~\n  , # three ~\n]', "[]"],
    "availability_zones": [f'["{REGION}a"]', "1"],
    "security_groups": [f'["{GROUP}"]', '["sg-0000000f"]', "[ # none ~\n]", "[[1]]"],
    "memory_gib": ["8", "8.0", "'x'"],
    "max_connections": ["500", '"500"', '"{DBInstanceVCPU*9}"'],
    "minimum_acu": ["0.5"],
}
DECIDED = {
    "owner": '"Zoë <S0123ABCD>"',
    "policy": "'policies/orders.toml'",
    "warning": "70.50",
    "database_name": '"""shop"""',
    "unknown": "[1, # eins ~\n 2]",
}


@st.composite
def files(draw: st.DrawFn) -> str:
    """Return a guard.toml as people write them."""
    lines = []

    def line(text: str) -> None:
        for _ in range(draw(st.integers(0, 1))):
            lines.append(draw(st.one_of(st.just(""), WORDS)))
        space = draw(st.sampled_from(["", " ", "\t"]))
        lines.append(
            draw(st.sampled_from(["", "  "])) + text + space + draw(st.one_of(st.just(""), WORDS))
        )

    others = [*HEAD.split("\n\n"), APPLICATIONS]
    names = draw(st.lists(st.sampled_from(["orders", "books", "wiki"]), unique=True))
    for table in draw(st.permutations([*others, *names])):
        if table in others:
            lines += table.splitlines()
            continue
        line("[[databases]]")
        line(f'instance = "{table}"')
        written = draw(st.lists(st.sampled_from([*VALUES, *DECIDED]), unique=True))
        for key in written:
            value = DECIDED[key] if key in DECIDED else draw(st.sampled_from(VALUES[key]))
            line(f"{key} = {value}")
        if draw(st.booleans()):
            lines += IAM_PROXY.splitlines()
    text = "\n".join([*lines, *draw(st.sampled_from([[], [""]]))])
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def comments_of(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


@given(files(), st.sampled_from(["db.m7g.large", "db.z9.large"]), st.booleans())
def test_any_file_keeps_what_a_person_wrote(text: str, instance_class: str, is_known: bool) -> None:
    surroundings = Surroundings(
        public_subnets=frozenset(),
        memory_gib={"db.z9.large": 8.0} if is_known else {},
        proxies=(PROXY,),
    )
    wanted = [
        wanted_table(a_found_instance(name, DBInstanceClass=instance_class), surroundings)
        for name in ("books", "orders")
    ]
    before = tomllib.loads(text)
    result = merged(text, *wanted)
    after = tomllib.loads(result.text)

    # Every comment is still there, as often as it was.
    for comment in set(comments_of(text)):
        assert result.text.count(f"#{comment}") + result.text.count(f"# {comment}") >= text.count(
            f"# {comment}"
        )
    # What a person decided is what it was, and what AWS knows is what it is.
    tables = {table["instance"]: table for table in after["databases"]}
    for table in before.get("databases", []):
        kept = tables[table["instance"]]
        assert {key: kept[key] for key in DECIDED if key in table} == {
            key: table[key] for key in DECIDED if key in table
        }
        if table["instance"] == "wiki":
            assert kept == table
    assert {key: after[key] for key in before if key != "databases"} == {
        key: value for key, value in before.items() if key != "databases"
    }
    for name in ("books", "orders"):
        assert tables[name]["instance_class"] == instance_class
        assert tables[name]["vpc"] == VPC
    # Line ends are what they were, and another time nothing changes.
    if "\r\n" in text:
        assert "\n" not in result.text.replace("\r\n", "")
    again = merged(result.text, *wanted)
    assert (again.text, again.changes) == (result.text, ())
