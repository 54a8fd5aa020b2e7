"""Times as people write them: an ISO date or time, or how long ago."""

from datetime import UTC, datetime

import click

from connection_guard.configuration.toml.readers import MistakeError, duration


class Moment(click.ParamType[datetime]):
    """An option's value such as `2026-11-20`, `2026-11-20T03:00` (UTC) or `30d`, as a time."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time in UTC; fail where the text is another."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            return datetime.now(UTC) - duration(text)
        except (MistakeError, OverflowError):
            pass
        try:
            time = datetime.fromisoformat(text)
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is no time; write how long ago, such as 30d or 12h, or a date such as "
                "2026-11-20 or 2026-11-20T03:00 (UTC)",
                param,
                ctx,
            )
