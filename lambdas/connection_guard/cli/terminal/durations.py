"""Durations as options take them, and as guard.toml and policy.toml spell them."""

from datetime import timedelta

import click

from connection_guard.configuration.toml import readers


class DurationType(click.ParamType[timedelta]):
    """A number and a unit, such as 30m, 2h or 7d, within bounds."""

    name = "duration"

    def __init__(self, least: str, most: str) -> None:
        self._read = readers.duration_between(least, most)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the duration; fail with what to write where it is none."""
        if isinstance(value, timedelta):
            return value
        try:
            return self._read(value)
        except readers.MistakeError as mistake:
            self.fail(str(mistake), param, ctx)
