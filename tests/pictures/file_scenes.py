"""What the verbs show that need neither AWS nor a database of somebody's."""

import shutil
from pathlib import Path

from connection_guard.configuration.policy.policy_file import SHIPPED_POLICY
from tests.pictures.shot import picture_of_call
from tests.support.cli.past_runs import a_month_of_runs, store_in
from tests.support.cli.running import ROOT, in_a_pipe
from tests.support.configurations import EXAMPLE_FILE

CHARTS = ROOT / "tests" / "unit" / "cli" / "budget" / "charts"
FILES = {
    "django_celery/manifests.yaml": "shop.yaml",
    "pgbouncer_sidecar/manifests.yaml": "checkout.yaml",
    "ecs_fargate/task-definition.json": "catalog.json",
    "ecs_fargate/service.json": "catalog-service.json",
    "ecs_fargate/scaling.json": "catalog-scaling.json",
}


def replay(folder: Path) -> str:
    """Show what the shipped policy would have ended with one age changed, in a month of runs."""
    store_in(folder / "evidence", a_month_of_runs())
    changed = SHIPPED_POLICY.read_text().replace('older_than = "5m"', 'older_than = "7m"')
    (folder / "policy.toml").write_text(changed)
    return picture_of_call("replay", "evidence", "--policy", "policy.toml", folder=folder)


def budget(folder: Path) -> str:
    """Show services of several kinds that do not fit into a small database."""
    small = EXAMPLE_FILE.read_text().replace("db.m7g.large", "db.t4g.small")
    (folder / "guard.toml").write_text(small)
    (folder / "deploy").mkdir()
    for chart, name in FILES.items():
        shutil.copy(CHARTS / chart, folder / "deploy" / name)
    return picture_of_call("budget", "deploy", folder=folder)


def drill(folder: Path) -> str:
    """Show a drill on this machine, beside an earlier one."""
    environment = {"XDG_STATE_HOME": str(folder)}
    in_a_pipe("drill", environment=environment, folder=folder)
    return picture_of_call("drill", environment=environment, folder=folder)
