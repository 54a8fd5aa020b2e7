"""The evidence: every session that a run saw and what was decided about it, small enough to travel
in a Report. core/report/evidence_format.py describes how it is written.
"""

import json
import lzma
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.round import Round
from connection_guard.core.report.evidence_format import (
    FLAGS,
    FORMAT,
    MILLISECOND,
    STRINGS,
    TIMES,
    VERDICT,
)
from connection_guard.core.report.wording import worded

# The preset's own dictionary of 8 MB would cost 94 MB of memory; 5,000 sessions are a megabyte of
# JSON.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]

# Bytes that are compressed at once, and in search of what fits. 5,000 sessions of 200 statements
# are a megabyte; where nothing repeats itself, a megabyte takes half a second of a slow processor.
MOST_SPELLED_BYTES = 1_500_000
MOST_SPELLED_IN_ALL = 3_000_000
_BYTES_OF_NUMBERS = 100  # of one session, less the pids that block it
_BYTES_OF_A_PID = 8


class _WordedVerdict(NamedTuple):
    """What is kept of a verdict."""

    action: str
    rule: str
    reason: str


def pack_evidence(looked: Round, most_bytes: int) -> dict[str, Any]:
    """Return a round's sessions, JSON-ready, in at most `most_bytes` of JSON.

    The sessions chosen for termination come first, then those that are not idle, then the longest
    in their state. What finds no room is left out from the end and counted. Without any session it
    is still some 400 bytes.
    """
    taken_at, sessions = looked.before.taken_at, _by_importance(looked)
    verdicts = {
        verdict.session.pid: _WordedVerdict(verdict.action, verdict.rule, worded(verdict.reason))
        for verdict in looked.plan.verdicts
    }
    results = {outcome.verdict.session.pid: outcome.result for outcome in looked.outcomes}

    def pack(count: int) -> dict[str, Any]:
        columns = _columns(taken_at, sessions[:count], verdicts, results)
        omitted = len(sessions) - count
        return {
            "format": FORMAT,
            "sessions": count,
            "omitted": omitted,
            "data": _compressed(columns),
        }

    return _largest_fitting(pack, _spelled_sizes(sessions, verdicts), most_bytes)


def _by_importance(looked: Round) -> Sequence[Session]:
    taken_at = looked.before.taken_at
    places = {verdict.session.pid: place for place, verdict in enumerate(looked.plan.chosen)}

    def importance(session: Session) -> tuple[int, bool, datetime]:
        place = places.get(session.pid, len(places))
        return place, session.state is SessionState.IDLE, session.state_change or taken_at

    return sorted(looked.before.sessions, key=importance)


def _spelled_sizes(
    sessions: Iterable[Session], verdicts: Mapping[int, _WordedVerdict]
) -> list[int]:
    """Return about how many bytes of JSON the first session takes, the first two, and so on, as
    many as may be packed.

    Each text counts once, as it is written once.
    """
    sizes: list[int] = []
    total, seen = 0, set[str]()
    for session in sessions:
        texts = {getattr(session, name) for name in STRINGS}
        if (verdict := verdicts.get(session.pid)) is not None:
            texts |= {verdict.rule, verdict.reason}
        new = texts - seen - {None}
        seen |= new
        total += (
            _BYTES_OF_NUMBERS
            + _BYTES_OF_A_PID * len(session.blocked_by)
            + sum(len(_json(text)) for text in new)
        )
        if total > MOST_SPELLED_BYTES:
            break
        sizes.append(total)
    return sizes


def _largest_fitting(
    pack: Callable[[int], dict[str, Any]], sizes: Sequence[int], most_bytes: int
) -> dict[str, Any]:
    """Pack as many sessions as fill at least four fifths of the room, within the bytes allowed.

    `sizes` are those of the first session, of the first two, and so on, before they are compressed.
    """
    packed = pack(len(sizes))
    if (size := _size(packed)) <= most_bytes or not sizes:
        return packed
    fitting, too_many, best = 0, len(sizes), pack(0)
    # A tenth less than in proportion: a shorter text repeats itself less.
    count = max(bisect_right(sizes, 0.9 * sizes[-1] * most_bytes / size), 1)
    spelled = sizes[-1]
    while (
        fitting < count < too_many
        and _size(best) < 0.8 * most_bytes
        and spelled < MOST_SPELLED_IN_ALL
    ):
        packed = pack(count)
        spelled += sizes[count - 1]
        if _size(packed) <= most_bytes:
            fitting, best = count, packed
        else:
            too_many = count
        count = (fitting + too_many) // 2
    return best


def _size(packed: dict[str, Any]) -> int:
    return len(json.dumps(packed))


def _columns(
    taken_at: datetime,
    sessions: Sequence[Session],
    verdicts: Mapping[int, _WordedVerdict],
    results: Mapping[int, Result],
) -> dict[str, Any]:
    places: dict[str, int] = {}

    def place(text: str | None) -> int | None:
        return None if text is None else places.setdefault(text, len(places))

    def before(time: datetime | None) -> int | None:
        return None if time is None else (taken_at - time) // MILLISECOND

    columns: dict[str, list[Any]] = {
        "pid": [session.pid for session in sessions],
        "role_id": [session.role_id for session in sessions],
        **{name: [before(getattr(session, name)) for session in sessions] for name in TIMES},
        **{name: [place(getattr(session, name)) for session in sessions] for name in STRINGS},
        **{name: [int(getattr(session, name)) for session in sessions] for name in FLAGS},
        "blocked_by": [session.blocked_by for session in sessions],
        **{
            name: [place(getattr(verdicts.get(session.pid), name, None)) for session in sessions]
            for name in VERDICT
        },
        "result": [place(results.get(session.pid)) for session in sessions],
    }
    return {"taken_at": taken_at.isoformat(), "strings": list(places), "columns": columns}


def _compressed(document: dict[str, Any]) -> str:
    return b64encode(
        lzma.compress(_json(document), check=lzma.CHECK_CRC32, filters=_FILTERS)
    ).decode()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
