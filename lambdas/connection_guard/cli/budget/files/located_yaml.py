"""YAML and JSON from anybody: plain values, with the line of each key, and bounds on everything."""

import re
from typing import Any

import yaml

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.words import shown

# A chart of a hundred services renders to less than a tenth of that.
MOST_CHARACTERS = 4_000_000
MOST_VALUES = 500_000

_RENDER = (
    "it is a Helm template, not YAML: render it, and read what comes out: helm template NAME CHART "
    "| connection-guard budget -"
)
_TEMPLATE = re.compile(r"\{\{-?\s*(?:\.|\$|/\*|[a-z])")


class LocatedMap(dict[str, Any]):
    """A mapping that knows on which line of its file each key is."""

    line: int = 0
    lines: dict[str, int]


class _Loader(yaml.SafeLoader):
    """The safe loader in Python: the one in C can be made to overflow its stack."""


def load_documents(text: str, source: str) -> list[Any]:
    """Return the documents of a file, mappings as LocatedMap. An unknown tag is read as null.

    Raise UserMistakeError with the line where it is not YAML, and where it is larger, deeper or
    repeats more than any real file.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserMistakeError(f"{source}: is larger than {MOST_CHARACTERS // 1_000_000} MB")
    loader = None
    try:
        loader = _Loader(text)
        documents = []
        left = MOST_VALUES
        while loader.check_node():
            node = loader.get_node()
            left -= _size(node, {}, source)
            if left < 0:
                raise UserMistakeError(f"{source}: has more than {MOST_VALUES:,} values")
            documents.append(loader.construct_document(node))
        return documents
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        raise UserMistakeError(f"{place}: {_not_yaml(text, error.problem)}") from error
    except yaml.YAMLError as error:
        raise UserMistakeError(f"{source}: {_not_yaml(text, str(error))}") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        # What PyYAML raises where a value is not of its tag's kind; the text shows the value, which
        # can be a secret.
        problem = "a value is not of the kind that it is marked as"
        raise UserMistakeError(f"{source}: {_not_yaml(text, problem)}") from None
    except RecursionError as error:
        raise UserMistakeError(f"{source}: is nested too deeply to be read") from error
    finally:
        if loader is not None:
            loader.dispose()


def line_of(value: object, key: str = "") -> int:
    """Return the line of a mapping's key, or of the mapping itself."""
    return value.lines.get(key, value.line) if isinstance(value, LocatedMap) else 0


def place_of(source: str, value: object, key: str = "") -> str:
    """Return where a value is, such as "values.yaml:12"."""
    line = line_of(value, key)
    return f"{source}:{line}" if line else source


def is_template(value: object) -> bool:
    """Return whether the text is one that Helm would still have to render."""
    return isinstance(value, str) and _TEMPLATE.search(value) is not None


def _not_yaml(text: str, problem: object) -> str:
    if is_template(text):
        return _RENDER
    return f"not valid YAML: {shown(str(problem), 200)}; correct it"


def _size(node: Any, known: dict[int, int], source: str) -> int:
    """Return how many values the node has once its aliases are followed, in a time that does not
    depend on that.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if known[id(node)] < 0:
            raise UserMistakeError(f"{source}: contains itself, through an alias")
        return known[id(node)]
    known[id(node)] = -1
    children = (
        [each for pair in node.value for each in pair]
        if isinstance(node, yaml.MappingNode)
        else node.value
    )
    known[id(node)] = size = 1 + sum(_size(each, known, source) for each in children)
    return size


def _map(loader: yaml.SafeLoader, node: yaml.MappingNode) -> LocatedMap:
    loader.flatten_mapping(node)
    found = LocatedMap()
    found.line = node.start_mark.line + 1
    found.lines = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None:
            raise yaml.MarkedYAMLError(
                problem="a key is not text", problem_mark=key_node.start_mark
            )
        found[key] = loader.construct_object(value_node, deep=True)
        found.lines[key] = key_node.start_mark.line + 1
    return found


def _text(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _nothing(_loader: yaml.SafeLoader, _suffix: str, _node: yaml.Node) -> None:
    return None


_Loader.add_constructor("tag:yaml.org,2002:map", _map)
_Loader.add_multi_constructor("!", _nothing)
_Loader.add_multi_constructor("tag:", _nothing)
# A date is text here: nothing reads it, and it may be none.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
