"""How many processes and threads a server starts, by its command and its settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connection_guard.cli.budget.files.workload import Setting, Settings, canonical
from connection_guard.cli.budget.pools.library_table import (
    CELERY_PROCESSES,
    PROCESSES,
    THREADS,
)

# Their own names for processes and threads. Gunicorn: https://docs.gunicorn.org/en/stable/settings
# .html; uvicorn: https://www.uvicorn.org/settings/; puma: https://puma.io/puma/#clustered-mode;
# Celery: https://docs.celeryq.dev/en/stable/reference/cli.html#celery-worker; PM2:
# https://pm2.keymetrics.io/docs/usage/cluster-mode/.
_SERVERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gunicorn": (("-w", "--workers"), ("--threads",)),
    "puma": (("-w", "--workers"), ("-t", "--threads")),
    "celery": (("-c", "--concurrency", "--autoscale"), ()),
    "uwsgi": (("-p", "--processes", "--workers"), ("--threads",)),
    "pm2": (("-i", "--instances"), ()),
    "pm2-runtime": (("-i", "--instances"), ()),
    "uvicorn": (("--workers",), ()),
    "hypercorn": (("-w", "--workers"), ()),
    "granian": (("--workers",), ()),
    "fastapi": (("--workers",), ()),
    "sidekiq": ((), ("-c", "--concurrency")),
}
_ARGUMENTS = ("GUNICORNCMDARGS", "PUMAARGS")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|\((\w+)\)|(\w+))")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of one replica, None where that is not known and `missing` says what to write;
    the threads of each; and how they were found where nothing states them.
    """

    count: int | None
    threads: int
    notes: tuple[str, ...] = ()
    missing: str = ""


def processes_of(words: Sequence[str], settings: Settings, cpus: int | None) -> Processes:
    """Return how many processes the command starts; `cpus` are those of its machine."""
    extra = [settings[name].value or "" for name in _ARGUMENTS if name in settings]
    expanded = " ".join(expand(word, settings) for word in [*words, *extra])
    server, plain = _server(expanded.replace("'", " ").replace('"', " ").split())
    flags, thread_flags = _SERVERS.get(server, ((), ()))
    own_settings = {"celery": CELERY_PROCESSES, "sidekiq": ()}.get(server, PROCESSES)
    written = _flag(plain, flags) or _setting(settings, own_settings)
    threads = _flag(plain, thread_flags) or _setting(settings, THREADS) or "1"
    most_threads = max((int(each) for each in re.findall("[0-9]{1,6}", threads)), default=1)
    if written is None and server == "celery" and "beat" not in plain:
        if cpus is None:
            missing = "write --concurrency: Celery starts one process per CPU (or add --cpus)"
            return Processes(None, most_threads, missing=missing)
        return Processes(cpus, most_threads, (f"one process for each of {cpus} CPUs",))
    if written is None:
        return Processes(1, most_threads, ("1 process, as no number is stated",))
    count = re.match("[0-9]{1,6}", written)
    if count is None or int(count[0]) == 0:
        if server == "puma" and count is not None:
            return Processes(1, most_threads)
        if cpus is not None and written in ("auto", "max", "0", "-1"):
            return Processes(cpus, most_threads, (f"one process for each of {cpus} CPUs",))
        missing = "write the number of processes as a number (or add --cpus)"
        return Processes(None, most_threads, missing=missing)
    return Processes(int(count[0]), most_threads)


def expand(text: str, settings: Settings) -> str:
    """Return the text with shell variables replaced by settings, or by the defaults that it
    names.
    """

    def value(match: re.Match[str]) -> str:
        name = canonical(match[1] or match[3] or match[4])
        found: Setting | None = settings.get(name)
        return found.value if found and found.value is not None else match[2] or match[0]

    return _VARIABLE.sub(value, text)


def _server(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the server that the words start, "" where it is not known, and its arguments."""
    for place, word in enumerate(words):
        if (program := word.rpartition("/")[2]) in _SERVERS:
            return program, words[place + 1 :]
    return "", ()


def _flag(words: Sequence[str], flags: Sequence[str]) -> str | None:
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in flags and equals:
            return value
        if word in flags and place + 1 < len(words):
            return words[place + 1]
        for flag in flags:
            if len(flag) == 2 and re.fullmatch(f"{flag}[0-9:]+", word):
                return word[2:]
    return None


def _setting(settings: Settings, names: Sequence[str]) -> str | None:
    return next((settings[name].value or "?" for name in names if name in settings), None)
