"""Several guard files at once: each is a stack of its own."""

from pathlib import Path

import pytest

from connection_guard.errors import ConfigurationError
from connection_guard_cdk.nested_stacks import stack_identifiers
from connection_guard_cdk.several_guard_files import guarded_twice, read_guard_files
from tests.unit.configuration.guard.guard_files import DEPLOY, guard, payments


def written(folder: Path, **files: str) -> Path:
    """Write the files into the folder `guards`; return the folder that it is in."""
    (folder / "guards").mkdir()
    for name, text in files.items():
        (folder / "guards" / f"{name}.toml").write_text(text)
    return folder


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        b=guard(deploy=DEPLOY | {"stack_name": "B"}),
        a=guard(payments(), deploy=DEPLOY | {"stack_name": "A"}),
    )

    read = read_guard_files("guards/*.toml", folder)

    assert [(file, each.target.stack_name) for file, each in read.items()] == [
        ("a.toml", "A"),
        ("b.toml", "B"),
    ]
    assert read_guard_files(str(folder / "guards" / "[b].toml"), Path("/nowhere")).keys() == {
        "b.toml"
    }


def test_every_mistake_of_every_file_is_a_line(tmp_path: Path) -> None:
    folder = written(tmp_path, a=guard(deploy=DEPLOY | {"account": "12"}), b="databases = 1")

    with pytest.raises(ConfigurationError) as refused:
        read_guard_files("guards/*.toml", folder, folder / "guard.toml")

    lines = str(refused.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {"a.toml", "b.toml"}
    assert any("a.toml: deploy: account: " in line for line in lines)
    assert any("a.toml: deploy: stack_name: is missing" in line for line in lines)


def test_a_glob_that_matches_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_guard_files("guards/*.toml", tmp_path)

    assert str(refused.value) == "guards/*.toml: no file has such a name; correct GUARD"


def test_two_files_cannot_have_the_same_stack(tmp_path: Path) -> None:
    named = DEPLOY | {"stack_name": "Guard"}
    folder = written(tmp_path, a=guard(deploy=named), b=guard(payments(), deploy=named))

    with pytest.raises(ConfigurationError) as refused:
        read_guard_files("guards/*.toml", folder)

    assert str(refused.value) == (
        'b.toml: deploy: stack_name: "Guard" is the stack of a.toml in that account and region, '
        "which this file would replace; write another name"
    )


def test_a_database_in_two_files_is_a_warning_since_it_may_move(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        a=guard(deploy=DEPLOY | {"stack_name": "A"}),
        b=guard(payments(), deploy=DEPLOY | {"stack_name": "B"}),
        c=guard(deploy=DEPLOY | {"stack_name": "C"}),
    )

    assert list(guarded_twice(read_guard_files("guards/*.toml", folder))) == [
        (
            "c.toml",
            (
                "a.toml guards orders, too: once the guard of the other stack works, remove the "
                "database from the file that it leaves"
            ),
        )
    ]


def test_stacks_of_one_name_are_distinguished_by_account_and_region(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        a=guard(deploy=DEPLOY | {"stack_name": "Guard"}),
        b=guard(deploy=DEPLOY | {"stack_name": "Other"}),
        c=guard(deploy=DEPLOY | {"stack_name": "Guard", "account": "210987654321"}),
    )
    targets = [each.target for each in read_guard_files("guards/*.toml", folder).values()]

    account, region = targets[0].account, targets[0].region
    assert stack_identifiers(targets) == (
        f"Guard-{account}-{region}",
        "Other",
        f"Guard-210987654321-{region}",
    )
