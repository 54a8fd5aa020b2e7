"""The verb `redrive`: what could the reporter not read, and can it be sent again?"""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from connection_guard.cli.access.deployed_stack import DeployedStack, stack_options
from connection_guard.cli.incidents.dead_letter import (
    DeadLetter,
    LetterOutcome,
    dead_letter,
    letter_document,
    letters_shown,
)
from connection_guard.cli.incidents.dead_letter_queue import MOST_HELD, DeadLetterQueue
from connection_guard.cli.incidents.private_file import save_private
from connection_guard.cli.terminal.mistakes import FINDING_STATUS
from connection_guard.cli.terminal.output import is_json, json_option, write
from connection_guard.core.words import counted

ENDED = frozenset({LetterOutcome.SENT_AGAIN, LetterOutcome.DELETED})


@click.command("redrive")
@click.option("--yes", is_flag=True, help="Do it without asking, also in a pipe.")
@click.option(
    "--delete-unreadable",
    is_flag=True,
    help="Also delete the messages that the reporter cannot read, after asking.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="First write each message to a file in this folder, which only you can read.",
)
@stack_options
@json_option
def redrive(stack: DeployedStack, yes: bool, delete_unreadable: bool, save: Path | None) -> None:
    """Show what the reporter could not read or was never sent, and send it again.

    The dead-letter queue of a stack is read and explained message by message. After asking, those
    that the reporter of this version can read are sent to it again. The others are left, or deleted
    on request. A message may reach the reporter twice, which changes nothing, and none is lost.

    In a pipe, and with --json, it only lists, unless --yes is added. The exit status is 0 where the
    queue is empty in the end, and 1 where something is left in it.

    \b
    Examples:
      connection-guard redrive
      connection-guard redrive --yes
      connection-guard redrive --save messages --delete-unreadable
    """
    settings = stack.reporter_settings()
    queue = DeadLetterQueue(stack, settings.unreadable_queue)
    databases = list(stack.watched(settings).values())
    itself, now = stack.unwatched(settings.dashboard), datetime.now(UTC)
    with queue.held() as held:
        letters = [dead_letter(each, databases, itself) for each in held.values()]
        letters.sort(key=lambda each: each.sent_at)
        if letters and not is_json():
            write({}, letters_shown(letters, now))
        try:
            if save is not None:
                for each in letters:
                    save_private(save, f"{each.id}.json", each.body.encode(errors="replace"))
            _act(queue, letters, yes=yes, delete_unreadable=delete_unreadable)
        finally:
            for each in letters:
                if each.fate in ENDED:
                    del held[each.id]
            may_have_more = len(letters) >= MOST_HELD
            write(
                {
                    "stack": stack.name,
                    "messages": [letter_document(each, now) for each in letters],
                    "may_have_more": may_have_more,
                },
                Text(_summary(letters, may_have_more=may_have_more)),
            )
    if held or may_have_more:
        sys.exit(FINDING_STATUS)


def _act(
    queue: DeadLetterQueue, letters: Sequence[DeadLetter], *, yes: bool, delete_unreadable: bool
) -> None:
    """Send and delete what may be, after asking."""

    def agreed(question: str) -> bool:
        asks = not is_json() and sys.stdin.isatty()
        return yes or (asks and click.confirm(question))

    readable = [each for each in letters if each.is_readable]
    unreadable = [each for each in letters if not each.is_readable]
    if readable and agreed(f"Send {counted(len(readable), 'message')} to the reporter again?"):
        source = queue.source()
        for each in readable:
            queue.send_again(each, source)
    if delete_unreadable and unreadable:
        named = counted(len(unreadable), "message")
        if agreed(f"Delete {named} that the reporter cannot read?"):
            for each in unreadable:
                queue.delete(each)


def _summary(letters: Sequence[DeadLetter], *, may_have_more: bool) -> str:
    if not letters:
        return "The dead-letter queue is empty."
    fates = Counter(each.fate for each in letters)
    counts = ", ".join(f"{fates[fate]} {fate}" for fate in LetterOutcome if fates[fate])
    more = "; there may be more: run it again" if may_have_more else ""
    return f"Of {counted(len(letters), 'message')}: {counts}{more}."
