"""Lanes in the table: one run at a time calls a channel, and the next one knows when it may."""

from dataclasses import dataclass
from datetime import datetime

from connection_guard.adapters.aws.table import Table, Update, Values, sortable
from connection_guard.core.incident.item import lane_key
from connection_guard.core.notification.channel.storm import Storm, storms_body, storms_of


@dataclass(frozen=True, slots=True)
class LaneState:
    """What a lane remembers: when the channel may be called next, what its storms have come to, and
    how often others wanted the lane while it was taken.
    """

    ready_at: datetime
    storms: tuple[Storm, ...]
    wanted: int


class LaneTable:
    """Every method raises StoreError where DynamoDB does not do it. `holder` is a name that no
    other run has.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(
        self, channel: str, holder: str, *, now: datetime, until: datetime, ready_by: datetime
    ) -> LaneState | None:
        """Return what the lane remembers where `holder` may call the channel until then; None where
        another run may, or where the channel may not be called by `ready_by`.
        """
        item = self._table.update(
            Update(
                lane_key(channel),
                "SET holder = :holder, held_until = :until",
                {
                    ":holder": holder,
                    ":until": sortable(until),
                    ":now": sortable(now),
                    ":ready_by": sortable(ready_by),
                },
                "(attribute_not_exists(holder) OR held_until <= :now) AND "
                "(attribute_not_exists(ready_at) OR ready_at <= :ready_by)",
            )
        )
        if item is None:
            return None
        ready_at = datetime.fromisoformat(item["ready_at"]) if "ready_at" in item else now
        return LaneState(ready_at, _storms(item), _wanted(item))

    def want(self, channel: str) -> None:
        """Ask the lane's holder to look once more at what is pending before it releases it."""
        self._table.update(Update(lane_key(channel), "ADD wanted :one", {":one": 1}))

    def wanted(self, channel: str) -> int:
        """Return how often others have wanted the lane."""
        return _wanted(self._table.item(lane_key(channel), "wanted") or {})

    def keep(
        self,
        channel: str,
        holder: str,
        *,
        until: datetime,
        ready_at: datetime,
        storms: tuple[Storm, ...],
    ) -> bool:
        """Return whether the lane is still the holder's, until then, and remembers this."""
        kept = self._table.update(
            Update(
                lane_key(channel),
                "SET held_until = :until, ready_at = :ready_at, storms = :storms",
                {
                    ":holder": holder,
                    ":until": sortable(until),
                    ":ready_at": sortable(ready_at),
                    ":storms": storms_body(storms),
                },
                "holder = :holder",
            )
        )
        return kept is not None

    def release(
        self,
        channel: str,
        holder: str,
        *,
        ready_at: datetime,
        storms: tuple[Storm, ...],
        wanted: int | None = None,
    ) -> bool:
        """Return whether the lane is no longer the holder's, and remembers this: it keeps it where
        others have wanted it since `wanted` was read, unless that is None.
        """
        condition = "holder = :holder"
        values: dict[str, str | int] = {
            ":holder": holder,
            ":ready_at": sortable(ready_at),
            ":storms": storms_body(storms),
        }
        if wanted:
            condition += " AND wanted = :wanted"
            values |= {":wanted": wanted}
        elif wanted == 0:
            condition += " AND attribute_not_exists(wanted)"
        update = Update(
            lane_key(channel),
            "SET ready_at = :ready_at, storms = :storms REMOVE holder, held_until",
            values,
            condition,
        )
        if self._table.update(update) is not None:
            return True
        item = self._table.item(lane_key(channel), "holder") or {}
        return item.get("holder") != holder


def _storms(item: Values) -> tuple[Storm, ...]:
    """Return what can be read: a channel without its storms is better than none."""
    try:
        return storms_of(item.get("storms", "[]"))
    except (LookupError, TypeError, ValueError):
        return ()


def _wanted(item: Values) -> int:
    return int(item.get("wanted", 0))
