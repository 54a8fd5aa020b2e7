"""The few lines that every notification of an incident begins with, whichever channel shows it."""

from dataclasses import dataclass

from connection_guard.core.notification.status import headline_of
from connection_guard.core.notification.view import View


@dataclass(frozen=True, slots=True)
class Summary:
    """Plain text, which each channel escapes in its own way; None where there is nothing to say.

    `first_line` says the database, its state and whether somebody has to act. `do_now` is the exact
    command, or the application to restart; `why` is one cause, from the worst moment; `guard` says
    what the guard did, and what it will do next; `usage` is the sparkline, the duration and the
    place. `owner` is who is to act, as guard.toml has it.
    """

    first_line: str
    do_now: str | None = None
    why: str | None = None
    guard: str | None = None
    change: str | None = None
    usage: str | None = None
    owner: str | None = None

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Return what follows the first line, each with its title."""
        titled = (
            ("Do now", self.do_now),
            ("Why", self.why),
            ("Guard", self.guard),
            ("Change", self.change),
        )
        return tuple((title, text) for title, text in titled if text is not None)


def summary_of(view: View) -> Summary:
    """Return the summary of the incident as it is now."""
    return Summary(headline_of(view.incident), owner=view.database.owner)
