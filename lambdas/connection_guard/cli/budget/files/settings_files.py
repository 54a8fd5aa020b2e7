"""Settings as files have them: .env, application.properties, application.yaml, database.yml."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connection_guard.cli.budget.files.located_yaml import load_documents, place_of
from connection_guard.cli.budget.files.workload import Setting, as_map, canonical, setting
from connection_guard.cli.terminal.mistakes import UserMistakeError

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.\[\]-]*)\s*[=:]\s*(.*?)\s*")
_RUBY_VARIABLE = re.compile(
    r"<%=\s*ENV(?:\.fetch\(|\[)\s*['\"](\w+)['\"][^A-Za-z0-9%]*(\w*)[^A-Za-z%]*%>"
)
# Rails' own name for what config/database.yml has, by the kinds of environment that are deployed.
_RAILS_ENVIRONMENTS = ("production", "default")


def properties(text: str, source: str) -> dict[str, Setting]:
    """Return the settings of a file with a "name=value" per line: .env or .properties."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith(("#", "!", ";")) or not (match := _LINE.fullmatch(line)):
            continue
        value = match[2]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        else:
            value = re.split(r"\s#", value)[0].rstrip()
        found[canonical(match[1])] = Setting(value, f"{source}:{number}")
    return found


def application_settings(text: str, source: str) -> dict[str, Setting]:
    """Return the settings of Spring's application.yaml, by the paths of their keys.

    Of documents for several profiles, the last counts, as it does for Spring where all are active.
    Text that cannot be read has none.
    """
    found: dict[str, Setting] = {}
    try:
        documents = load_documents(text, source)
    except UserMistakeError:
        return {}
    for document in documents:
        for path, each in _leaves(document, source, ""):
            found[canonical(path)] = each
    return found


def rails_settings(content: Mapping[str, Any], source: str) -> dict[str, Setting]:
    """Return the settings of Rails' config/database.yml. Ruby in it is not known, but for
    variables with a default, such as <%= ENV.fetch("RAILS_MAX_THREADS") { 5 } %>.
    """
    chosen = [as_map(content.get(name)) for name in _RAILS_ENVIRONMENTS]
    table = next((each for each in chosen if each), {})
    table = as_map(table.get("primary")) or table
    names = {
        "pool": "DB_POOL",
        "max_connections": "DB_POOL",
        "host": "DB_HOST",
        "url": "DATABASE_URL",
    }
    found = {canonical("RAILS_ENV"): Setting("production", source)}
    for key, name in names.items():
        value = table.get(key)
        if isinstance(value, str):
            value = _RUBY_VARIABLE.sub(r"${\1:-\2}", value)
        if value is not None:
            found[canonical(name)] = setting(value, place_of(source, table, key))
    return found


def _leaves(value: object, source: str, path: str) -> Iterator[tuple[str, Setting]]:
    for key, each in as_map(value).items():
        if isinstance(each, dict):
            yield from _leaves(each, source, f"{path}.{key}")
        else:
            yield f"{path}.{key}", setting(each, place_of(source, value, key))
