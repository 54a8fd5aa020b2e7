"""What is new in guard.toml, as text, with a comment where a person has to decide. No I/O."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connection_guard.cli.access.guard_file_option import DEFAULT_FILE
from connection_guard.cli.discover.toml_chunks import written_value
from connection_guard.cli.discover.wanted_tables import Fact, ProxyTable, WantedTable
from connection_guard.configuration.guard.guard_file import EXAMPLE

STACK = "ConnectionGuard"

_TOP = f"""\
# Which databases Connection Guard watches, and how it reaches them. `connection-guard discover`
# updates what AWS knows, and keeps everything else. For you to decide, where the default does not
# do: database_name, role, policy, warning, critical, owner, runbook, environment, slack_channel.
# {EXAMPLE} explains each key.
"""
_NOTIFICATIONS = """\
[notifications]
# For you to decide: at least one channel, and preferably an e-mail address (docs/channels.md).
# emails = ["platform@example.com"]
# slack_secret = "connection-guard/slack"
"""


def head_of_file(
    document: Mapping[str, Any], name: str, account: str, region: str, *, is_new: bool
) -> Iterator[str]:
    """Yield the tables before those of the databases, as far as the document has none."""
    if is_new:
        yield _TOP
    if "deploy" not in document:
        yield (
            f'[deploy]\naccount = "{account}"\nregion = "{region}"\nstack_name = "{_stack(name)}"\n'
        )
    if "notifications" not in document:
        yield _NOTIFICATIONS


def new_table(wanted: WantedTable) -> str:
    """Return the table of a database that the file does not have."""
    text = "[[databases]]\n" + _lines(wanted.facts, wanted.comments)
    if wanted.proxies:
        text += _proxy(wanted.proxies[0], wanted.comments.get("proxy"))
    return text


def _proxy(proxy: ProxyTable, comment: str | None) -> str:
    text = f"\n{_comment(comment)}[databases.proxy]\n" + _lines(proxy.facts, {})
    if proxy.is_guess:
        text += _comment(
            "For you to decide: the proxy logs in with secrets, and needs one for a second role."
        )
    if proxy.role is not None:
        text += f"role = {written_value(proxy.role).as_string()}\n"
    return text


def _lines(facts: Mapping[str, Fact], comments: Mapping[str, str]) -> str:
    return "".join(
        f"{_comment(comments.get(key))}{key} = {written_value(fact).as_string()}\n"
        for key, fact in facts.items()
        if fact is not None
    )


def _comment(text: str | None) -> str:
    return f"# {text}\n" if text else ""


def _stack(file: str) -> str:
    """Return the name of the stack: any file but guard.toml needs one of its own."""
    if file == DEFAULT_FILE:
        return STACK
    words = re.findall("[A-Za-z0-9]+", file.removesuffix(".toml"))
    return "-".join([STACK, *words])[:128].rstrip("-")
