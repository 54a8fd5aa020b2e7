"""How many processes a command starts."""

import pytest

from connection_guard.cli.budget.files.workload import Setting, canonical
from connection_guard.cli.budget.pools.server_processes import processes_of


def processes(command: str, cpus: int | None = None, **settings: str) -> tuple[int | None, int]:
    known = {canonical(name): Setting(value, "a:1") for name, value in settings.items()}
    found = processes_of(command.split(), known, cpus)
    return found.count, found.threads


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("gunicorn app:app", (1, 1)),
        ("gunicorn app:app -w 4 --threads=8", (4, 8)),
        ("/venv/bin/gunicorn -w4 app:app", (4, 1)),
        ("gunicorn --workers=3 app:app", (3, 1)),
        ("sh -c 'gunicorn app:app --workers 3'", (3, 1)),
        ("uvicorn app:app --workers 2", (2, 1)),
        ("puma -w 2 -t 1:5", (2, 5)),
        ("puma -w 0 -t 5:5", (1, 5)),
        ("celery -A app worker -c 6", (6, 1)),
        ("celery -A app worker --autoscale=10,3", (10, 1)),
        ("sh -c 'exec celery -A app beat'", (1, 1)),
        ("celery -A app worker", (None, 1)),
        ("pm2-runtime start app.js -i 3", (3, 1)),
        ("uwsgi --processes 5 --threads 2", (5, 2)),
        ("node server.js", (1, 1)),
        ("java -jar app.jar -w 7", (1, 1)),
        ("gunicorn -w $(nproc) app:app", (None, 1)),
    ],
)
def test_a_command_states_its_processes(command: str, expected: tuple[int | None, int]) -> None:
    assert processes(command) == expected


def test_settings_state_them_too() -> None:
    assert processes("gunicorn app:app", WEB_CONCURRENCY="5") == (5, 1)
    assert processes("gunicorn app:app -w 2", WEB_CONCURRENCY="5") == (2, 1)
    assert processes("gunicorn a", GUNICORN_CMD_ARGS="--workers=4 --threads 2") == (4, 2)
    assert processes("gunicorn a -w ${WORKERS:-3}") == (3, 1)
    assert processes("gunicorn a -w ${N:-3}", N="6") == (6, 1)
    assert processes("puma", WEB_CONCURRENCY="auto") == (None, 1)
    assert processes("sidekiq", WEB_CONCURRENCY="5") == (1, 1), "it does not read that"
    assert processes("celery -A a worker", WEB_CONCURRENCY="5", cpus=2) == (2, 1)
    assert processes("celery -A a worker", CELERY_CONCURRENCY="3") == (3, 1)


def test_some_start_one_per_cpu() -> None:
    assert processes("celery -A app worker", cpus=4) == (4, 1)
    assert processes("puma", cpus=4, WEB_CONCURRENCY="auto") == (4, 1)
    assert processes("pm2-runtime app.js -i max", cpus=4) == (4, 1)
