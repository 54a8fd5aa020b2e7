"""Files from anybody: what is wrong with one is a line, and no input takes long or raises."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.cli.budget.files.located_yaml import MOST_CHARACTERS, load_documents
from connection_guard.cli.budget.gather_workloads import gather_workloads
from connection_guard.cli.budget.pools.service_pools import services_of
from connection_guard.cli.terminal.mistakes import UserMistakeError

CHARTS = Path(__file__).with_name("charts")
LAUGHS = "a: &a [x, x]\n" + "\n".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]"
    for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)
MERGED_LAUGHS = "a: &a {x: 1}\n" + "\n".join(
    f"{new}: &{new} {{<<: [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]}}"
    for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)


def refusal(text: str) -> str:
    with pytest.raises(UserMistakeError) as refused:
        load_documents(text, "a.yaml")
    return refused.value.message


@pytest.mark.parametrize("text", [LAUGHS, MERGED_LAUGHS])
def test_aliases_that_multiply_are_refused_at_once(text: str) -> None:
    started = time.monotonic()

    assert refusal(text) == "a.yaml: has more than 500,000 values"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\nb: 3\n", "a.yaml:2: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "a.yaml:2: not valid YAML: "),
        ("a: &a [*a]\n", "a.yaml: contains itself, through an alias"),
        ("a: *unknown\n", "a.yaml:1: not valid YAML: found undefined alias"),
        ("? {a: b}\n: c\n", "a.yaml:1: not valid YAML: a key is not text"),
        ("[" * 50_000, "a.yaml: is nested too deeply to be read"),
        ("a: \x00", "a.yaml: not valid YAML: unacceptable character"),
        ("a: " + "9" * 5_000, "a.yaml: not valid YAML: a value is not of the kind"),
        ("a: " + "x" * MOST_CHARACTERS, "a.yaml: is larger than 4 MB"),
        (
            "replicas: {{ .Values.replicaCount }}\n",
            "a.yaml:1: it is a Helm template, not YAML: render it",
        ),
        ("{{- if .Values.on }}\na: 1\n{{- end }}\n", "a.yaml:1: it is a Helm template"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(text: str, line: str) -> None:
    refused = refusal(text)

    assert refused.startswith(line)
    assert len(refused.splitlines()) == 1


@pytest.mark.parametrize("tag", ["int", "float", "bool", "map", "timestamp", "binary", "set"])
def test_a_value_with_a_wrong_tag_is_not_shown(tag: str) -> None:
    text = f"a: !!{tag} 'hunter2 @'\nb: !!{tag} [hunter2]\n"

    try:
        load_documents(text, "a.yaml")
    except UserMistakeError as mistake:
        refused = mistake.message
    else:
        refused = ""
    assert "hunter2" not in refused
    assert "\n" not in refused


@given(
    st.lists(
        st.sampled_from(
            [*"abc01:-?&*!|>%@`'\"[]{}#,~ \n\t", ": ", "\n- ", "\n  ", "<<: ", "&a ", "*a", "---\n"]
            + [
                f"!!{tag} "
                for tag in ("int", "float", "bool", "map", "seq", "set", "omap", "pairs")
            ]
            + ["0x", "1_", "..", ".inf", "1:", "2024-01-01", "!!null ", "!!str ", "!!binary "]
        ),
        max_size=30,
    )
)
def test_any_text_is_yaml_or_refused_in_a_line(parts: list[str]) -> None:
    try:
        load_documents("".join(parts), "a.yaml")
    except UserMistakeError as mistake:
        lines = mistake.message.splitlines()
    else:
        lines = ["read"]
    assert len(lines) == 1


def test_tags_build_nothing() -> None:
    [document] = load_documents("a: !!python/object/apply:os.getcwd []\nb: !Ref c\n", "a.yaml")

    assert document == {"a": None, "b": None}


def test_a_date_that_is_none_is_text() -> None:
    assert load_documents("a: 2024-13-45\n", "a.yaml") == [{"a": "2024-13-45"}]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "deployment.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: many\n",
            '/deployment.yaml:5: replicas: "many" is not a whole number from 0 to 1000000',
        ),
        (
            "deployment.yaml",
            (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n"
                "  replicas: '{{ .Values.replicas }}'\n"
            ),
            (
                '/deployment.yaml:5: replicas: "{{ .Values.replicas }}" is not a whole number '
                "from 0 to 1000000; render the template first: helm template"
            ),
        ),
        (
            "deployment.yaml",
            (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  strategy:\n"
                "    rollingUpdate: {maxSurge: half}\n"
            ),
            '/deployment.yaml:6: maxSurge: "half" is neither a number nor a percentage',
        ),
        (
            "values.yaml",
            "image: nginx\n",
            "/values.yaml: no key of a known kind of file; looked for",
        ),
        ("values.yaml", "image: nginx\n", "Helm values (replicaCount, replicas; autoscaling."),
        ("values.yaml", "", "/values.yaml: is empty; looked for: Kubernetes manifest"),
        ("some.ini", "a = 1\n", "/some.ini: has neither [databases] nor [pgbouncer]"),
        ("application.yaml", "spring: {a: 1}\n", "holds settings, but no replicas"),
        ("latin.yaml", "\udce4", "latin.yaml is not UTF-8 text (byte 0); save it as UTF-8"),
    ],
)
def test_a_file_that_says_nothing_usable_is_one_line(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(UserMistakeError) as refused:
        gather_workloads([str(path)])

    assert expected in refused.value.message
    assert len(refused.value.message.splitlines()) == 1


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserMistakeError, match="does not exist; create it, or correct its path"):
        gather_workloads([str(tmp_path / "deploy")])


def test_other_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "workflow.yaml").write_text("on: [push")
    (tmp_path / "README.md").write_text("# [")
    (tmp_path / "other.yaml").write_text("a: 1")

    assert gather_workloads([str(tmp_path)]) == []


# Any values in the place of those that are expected

REAL_FILES = [
    path
    for path in sorted(CHARTS.rglob("*"))
    if path.suffix in (".yaml", ".yml", ".json") and "templates" not in path.parts
]
NAMES = sorted(
    {name for path in REAL_FILES for name in re.findall(r"[A-Za-z_]+", path.read_text())}
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 1_000)
    | st.floats()
    | st.sampled_from(NAMES)
    | st.sampled_from(
        ["postgres://a:b@c/d", "jdbc:postgresql://h", "$(A)", "${A:-1}", "10%", "-1"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=40,
)


def changed(value: Any, other: Any, place: list[int]) -> Any:
    """Return the value with what is at one place in it replaced."""
    if not place or not isinstance(value, dict | list) or not value:
        return other
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[place[0] % len(keys)]
    copy: Any = value.copy()
    copy[key] = changed(value[key], other, place[1:])
    return copy


def read_or_refused(documents: list[Any]) -> list[str]:
    """Return the lines of the mistake that is reported, or one where the documents are read."""
    path = FOLDER / "all.yaml"
    path.write_text("\n---\n".join(json.dumps(each) for each in documents))
    try:
        services_of(gather_workloads([str(path)]), cpus=2)
    except UserMistakeError as mistake:
        return mistake.message.splitlines()
    return ["read"]


FOLDER = Path()


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER  # noqa: PLW0603 - hypothesis calls no function-scoped fixture anew
    FOLDER = tmp_path_factory.mktemp("hostile")


@given(st.lists(values, min_size=1, max_size=3))
def test_any_document_is_read_or_refused_in_a_line(documents: list[Any]) -> None:
    assert len(read_or_refused(documents)) == 1


@given(
    st.sampled_from(REAL_FILES),
    values,
    st.lists(st.integers(0, 20), min_size=1, max_size=10),
)
def test_any_value_in_a_real_file_is_read_or_refused_in_a_line(
    path: Path, other: Any, place: list[int]
) -> None:
    documents = load_documents(path.read_text().replace("\t", " "), path.name)

    all_of_them = [
        changed(each, other, place) if at == place[0] % len(documents) else each
        for at, each in enumerate(documents)
    ]

    assert len(read_or_refused(all_of_them)) == 1
