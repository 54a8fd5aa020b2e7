"""Which of the found databases a person wants: by name, by tag, or all. No I/O."""

from collections.abc import Sequence

from connection_guard.cli.discover.account.discovered import FoundDatabase, LeftOut
from connection_guard.cli.terminal.mistakes import UserMistakeError, nearest
from connection_guard.core.words import quoted


def chosen_databases(
    found: Sequence[FoundDatabase],
    left_out: Sequence[LeftOut],
    names: Sequence[str],
    tags: Sequence[str],
    is_all: bool,
) -> list[FoundDatabase]:
    """Return the chosen ones, none where nothing was asked for.

    Raise UserMistakeError where that is not one way of asking, or finds nothing.
    """
    if sum(map(bool, (names, tags, is_all))) > 1:
        raise UserMistakeError("choose databases in one way: by DATABASE, by --tag, or with --all")
    if names:
        return _named(found, left_out, names)
    if tags:
        return _tagged(found, tags)
    if is_all and not found:
        raise UserMistakeError(
            "there is no database with PostgreSQL: name another --region or --profile"
        )
    return list(found) if is_all else []


def _named(
    found: Sequence[FoundDatabase], left_out: Sequence[LeftOut], names: Sequence[str]
) -> list[FoundDatabase]:
    # RDS stores identifiers in lower case.
    wanted = {name.lower() for name in names}
    known = {each.identifier for each in found}
    others = {each.identifier: each.why for each in left_out}
    for name in sorted(wanted - known):
        if name in others:
            raise UserMistakeError(f"{quoted(name)} cannot be guarded: {others[name]}")
        raise UserMistakeError(f"{quoted(name)} is not a database here: {nearest(name, known)}")
    return [each for each in found if each.identifier in wanted]


def _tagged(found: Sequence[FoundDatabase], tags: Sequence[str]) -> list[FoundDatabase]:
    # Both a tag's key and its value may contain "=".
    written = {
        (each.kind, each.identifier): {f"{key}={value}" for key, value in each.tags.items()}
        for each in found
    }
    known = set().union(*written.values()) if written else set()
    for tag in tags:
        if "=" not in tag:
            raise UserMistakeError(f"--tag {quoted(tag)} is not KEY=VALUE")
        if tag not in known:
            of_key = {each for each in known if each.startswith(f"{tag.partition('=')[0]}=")}
            hint = nearest(tag, of_key or {each.partition("=")[0] for each in known})
            raise UserMistakeError(f"no database has the tag {quoted(tag)}: {hint}")
    chosen = [each for each in found if written[each.kind, each.identifier].issuperset(tags)]
    if not chosen:
        raise UserMistakeError(f"no database has all of the tags {', '.join(map(quoted, tags))}")
    return chosen
