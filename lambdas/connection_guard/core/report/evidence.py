"""The evidence: every session that a run saw and what was decided about it, small enough to travel
in a Report.

Format 1 is a JSON object in UTF-8, compressed as xz, in base64. Its fields:

- `taken_at`: when the sessions were looked at, in ISO 8601.
- `strings`: each string once; the columns hold its index.
- `columns`: for each field of a session one list, all of the same order and length.
  - `pid` and `blocked_by` hold pids, a list of them in the latter; `role_id` holds the role's OID.
  - `backend_start`, `state_change`, `transaction_start` and `query_start` hold whole milliseconds
    before `taken_at`.
  - `is_superuser`, `is_listening`, `holds_advisory_lock` and `is_owned_by_proxy` hold 1 or 0.
  - All others hold indexes of strings: the session's own, then the `action`, `rule` and `reason` of
    its verdict and the `result` of its outcome.

A field is null where it is not known or did not happen.
"""

import json
import lzma
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from connection_guard.core.database.session import Session, SessionState
from connection_guard.core.decision.outcome import Result
from connection_guard.core.decision.round import Round
from connection_guard.core.report.wording import worded

FORMAT = 1

_TIMES = ("backend_start", "state_change", "transaction_start", "query_start")
_FLAGS = ("is_superuser", "is_listening", "holds_advisory_lock", "is_owned_by_proxy")
_STRINGS = (
    "role",
    "database",
    "application_name",
    "client_address",
    "state",
    "wait_event_type",
    "wait_event",
    "query",
)
_VERDICT = ("action", "rule", "reason")

# The preset's own dictionary of 8 MB would cost 94 MB of memory; 5,000 sessions are a megabyte of
# JSON.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20}]

# Bytes that are compressed at once, and in search of what fits. 5,000 sessions of 200 statements
# are a megabyte; where nothing repeats itself, a megabyte takes half a second of a slow processor.
MOST_SPELLED_BYTES = 1_500_000
MOST_SPELLED_IN_ALL = 3_000_000
_BYTES_OF_NUMBERS = 100  # of one session, less the pids that block it
_BYTES_OF_A_PID = 8

_MILLISECOND = timedelta(milliseconds=1)


class WordedVerdict(NamedTuple):
    """What is kept of a verdict."""

    action: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was packed, times to the millisecond, `verdicts` and `results` by pid; `omitted`
    sessions found no room.
    """

    taken_at: datetime
    sessions: tuple[Session, ...]
    verdicts: Mapping[int, WordedVerdict]
    results: Mapping[int, Result]
    omitted: int


def pack_evidence(looked: Round, most_bytes: int) -> dict[str, Any]:
    """Return a round's sessions, JSON-ready, in at most `most_bytes` of JSON.

    The sessions chosen for termination come first, then those that are not idle, then the longest
    in their state. What finds no room is left out from the end and counted. Without any session it
    is still some 400 bytes.
    """
    taken_at, sessions = looked.before.taken_at, _by_importance(looked)
    verdicts = {
        verdict.session.pid: WordedVerdict(verdict.action, verdict.rule, worded(verdict.reason))
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


def unpack_evidence(packed: Mapping[str, Any]) -> Evidence:
    """Return what `pack_evidence` wrote; raise ValueError where the format is another."""
    if packed["format"] != FORMAT:
        raise ValueError(
            f"evidence of format {packed['format']!r}: this version reads format {FORMAT}"
        )
    document = json.loads(lzma.decompress(b64decode(packed["data"])))
    taken_at, strings = datetime.fromisoformat(document["taken_at"]), document["strings"]
    rows = [
        dict(zip(document["columns"], values, strict=True))
        for values in zip(*document["columns"].values(), strict=True)
    ]
    sessions, verdicts, results = [], {}, {}
    for row in rows:
        row |= {
            name: taken_at - row[name] * _MILLISECOND for name in _TIMES if row[name] is not None
        }
        row |= {name: bool(row[name]) for name in _FLAGS}
        row |= {
            name: strings[row[name]]
            for name in (*_STRINGS, *_VERDICT, "result")
            if row[name] is not None
        }
        row |= {
            "state": row["state"] and SessionState(row["state"]),
            "blocked_by": tuple(row["blocked_by"]),
        }
        action, rule, reason, result = (row.pop(name) for name in (*_VERDICT, "result"))
        session = Session(**row)
        sessions.append(session)
        if action is not None:
            verdicts[session.pid] = WordedVerdict(action, rule, reason)
        if result is not None:
            results[session.pid] = Result(result)
    return Evidence(taken_at, tuple(sessions), verdicts, results, packed["omitted"])


def _by_importance(looked: Round) -> Sequence[Session]:
    taken_at = looked.before.taken_at
    places = {verdict.session.pid: place for place, verdict in enumerate(looked.plan.chosen)}

    def importance(session: Session) -> tuple[int, bool, datetime]:
        place = places.get(session.pid, len(places))
        return place, session.state is SessionState.IDLE, session.state_change or taken_at

    return sorted(looked.before.sessions, key=importance)


def _spelled_sizes(sessions: Iterable[Session], verdicts: Mapping[int, WordedVerdict]) -> list[int]:
    """Return about how many bytes of JSON the first session takes, the first two, and so on, as
    many as may be packed.

    Each text counts once, as it is written once.
    """
    sizes: list[int] = []
    total, seen = 0, set[str]()
    for session in sessions:
        texts = {getattr(session, name) for name in _STRINGS}
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
    # A tenth less than in proportion: what is shorter repeats itself less.
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
    verdicts: Mapping[int, WordedVerdict],
    results: Mapping[int, Result],
) -> dict[str, Any]:
    places: dict[str, int] = {}

    def place(text: str | None) -> int | None:
        return None if text is None else places.setdefault(text, len(places))

    def before(time: datetime | None) -> int | None:
        return None if time is None else (taken_at - time) // _MILLISECOND

    columns: dict[str, list[Any]] = {
        "pid": [session.pid for session in sessions],
        "role_id": [session.role_id for session in sessions],
        **{name: [before(getattr(session, name)) for session in sessions] for name in _TIMES},
        **{name: [place(getattr(session, name)) for session in sessions] for name in _STRINGS},
        **{name: [int(getattr(session, name)) for session in sessions] for name in _FLAGS},
        "blocked_by": [session.blocked_by for session in sessions],
        **{
            name: [place(getattr(verdicts.get(session.pid), name, None)) for session in sessions]
            for name in _VERDICT
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
