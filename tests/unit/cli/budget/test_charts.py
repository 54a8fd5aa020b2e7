"""Real-looking charts and manifests: which services each has, and how many connections."""

from pathlib import Path

import pytest

from connection_guard.cli.budget.gather_workloads import gather_workloads
from connection_guard.cli.budget.pools.service_pools import services_of
from connection_guard.core.budget.service import Service

CHARTS = Path(__file__).with_name("charts")
ORDERS = "orders.c1abcdefghij.eu-central-1.rds.amazonaws.com"


def read(*names: str, cpus: int | None = None) -> dict[str, Service]:
    """Return the services of the files by their names."""
    workloads = gather_workloads([str(CHARTS / name) for name in names])
    return {each.name: each for each in services_of(workloads, cpus)}


def arithmetic(service: Service) -> tuple[int, int, int, int | None, int]:
    return (
        service.replicas,
        service.surge,
        service.processes,
        service.pool_size,
        service.overflow,
    )


@pytest.mark.parametrize(
    ("chart", "name", "expected", "line"),
    [
        ("bitnami_chart", "storefront", (10, 5, 4, 8, 2), "values.yaml:17"),
        ("spring_boot", "payments", (3, 1, 1, 12, 0), "deployment.yaml:39"),
        ("django_celery", "shop-web", (4, 1, 3, 4, 0), "manifests.yaml:18"),
        ("django_celery", "shop-worker", (2, 0, 8, 1, 0), "manifests.yaml:34"),
        ("django_celery", "shop-beat", (1, 1, 1, 1, 0), "manifests.yaml:46"),
        ("django_celery", "shop-cleanup", (1, 0, 1, 1, 0), "manifests.yaml:63"),
        ("nextjs_prisma", "web", (3, 2, 1, 7, 0), "docker-compose.yml:3"),
        ("rails_puma", "forum", (2, 1, 3, 6, 0), "deployment.yml:10"),
        ("go_service", "ledger", (5, 2, 1, 15, 0), "kustomize.yaml:12"),
        ("go_service", "ledger-archive", (2, 0, 1, 6, 0), "kustomize.yaml:30"),
        ("pgbouncer_sidecar", "checkout/pgbouncer", (3, 1, 1, 9, 3), "manifests.yaml:5"),
        ("keda_worker", "mailer", (20, 5, 1, 10, 0), "worker.yaml:9"),
        ("keda_worker", "importer", (8, 0, 1, 2, 0), "worker.yaml:36"),
        ("ecs_fargate", "catalog", (5, 2, 2, 5, 10), "task-definition.json:9"),
        ("umbrella_chart", "api", (3, 1, 1, 10, 0), "values.yaml:5"),
        ("umbrella_chart", "worker", (2, 0, 1, 4, 0), "values.yaml:11"),
        ("node_cluster", "chat", (2, 1, 4, 10, 0), "ecosystem.yaml:13"),
        ("keycloak_rendered", "shop-keycloak", (6, 0, 1, 40, 0), "rendered.yaml:36"),
        ("keycloak_rendered", "shop-airflow-web", (2, 1, 1, 8, 10), "rendered.yaml:54"),
        ("kustomize_list", "prod-api/api", (9, 5, 1, 15, 0), "rendered.yaml:24"),
        ("kustomize_list", "worker", (4, 1, 1, 3, 0), "rendered.yaml:36"),
        ("cdk_synthesized", "web", (10, 10, 4, 5, 2), "Shop.template.json:8"),
        ("compose_profiles", "web", (3, 0, 1, 6, 0), "compose.yaml:6"),
        ("compose_profiles", "worker", (1, 0, 4, 2, 0), "compose.yaml:13"),
        ("dotnet_npgsql", "basket", (2, 1, 1, 20, 0), "deployment.yaml:9"),
        ("dotnet_npgsql", "basket2", (1, 1, 1, 100, 0), "deployment.yaml:22"),
        ("rails_databases", "shop", (4, 1, 2, 7, 0), "deploy.yaml:9"),
        ("rails_databases", "sidekiq", (2, 1, 1, 5, 0), "deploy.yaml:22"),
    ],
)
def test_a_service_is_read_with_where_it_is(
    chart: str, name: str, expected: tuple[int, int, int, int | None, int], line: str
) -> None:
    service = read(chart)[name]

    assert arithmetic(service) == expected
    assert service.place.endswith(f"{chart}/{line}") or service.place.endswith(f"/{line}")
    assert service.host == ORDERS


@pytest.mark.parametrize(
    ("chart", "name", "note"),
    [
        ("bitnami_chart", "storefront", "replicas: the autoscaler's maximum"),
        ("ecs_fargate", "catalog", "tasks: the maximum of application autoscaling"),
        ("ecs_fargate", "catalog", "SQLAlchemy's default of 5 + 10"),
        ("keda_worker", "mailer", "node-postgres's default of 10"),
        ("node_cluster", "chat", "node-postgres's default of 10"),
        ("django_celery", "shop-web", "Django: one connection per thread, without a pool"),
        ("go_service", "ledger", "1 process, as no number is stated"),
        (
            "pgbouncer_sidecar",
            "checkout/pgbouncer",
            "for one user: PgBouncer has a pool per user and database",
        ),
    ],
)
def test_what_is_written_nowhere_is_noted(chart: str, name: str, note: str) -> None:
    assert note in read(chart)[name].notes


def test_services_without_postgresql_are_none() -> None:
    assert set(read("compose_stack")) == {"api", "report", "pgbouncer"}
    assert "redis" not in read("umbrella_chart")
    assert set(read("compose_profiles")) == {"web", "worker"}
    assert set(read("dotnet_npgsql")) == {"basket", "basket2"}, "SQL Server is another engine"


def test_an_init_container_is_gone_before_the_others_start() -> None:
    assert set(read("node_cluster")) == {"chat"}


def test_compose_fills_in_its_variables_and_reads_the_files_that_it_names() -> None:
    services = read("compose_stack")

    assert arithmetic(services["api"]) == (1, 0, 5, 4, 0)
    assert services["api"].host == "pgbouncer"
    assert arithmetic(services["report"]) == (2, 0, 1, 3, 0)
    assert arithmetic(services["pgbouncer"]) == (1, 0, 1, 20, 0)
    assert "max_db_connections is 20" in services["pgbouncer"].notes


def test_the_default_of_prisma_depends_on_the_cpus() -> None:
    unknown = read("nextjs_prisma")["jobs"]
    assert unknown.connections is None
    assert unknown.missing == (
        "write connection_limit in DATABASE_URL, or pool_size in guard.toml: the default depends "
        "on the CPUs (or add --cpus)"
    )

    known = read("nextjs_prisma", cpus=4)["jobs"]
    assert known.pool_size == 9
    assert "Prisma's default of 9 on 4 CPUs" in known.notes


def test_the_application_name_is_that_of_the_settings() -> None:
    assert read("nextjs_prisma")["web"].application == "web"
    assert read("keda_worker")["mailer"].application == "mailer"
    assert read("spring_boot")["payments"].application == "payments"


def test_a_container_reaches_the_pgbouncer_beside_it_as_localhost() -> None:
    services = read("pgbouncer_sidecar")

    assert services["checkout"].host in services["checkout/pgbouncer"].answers_to


def test_a_settings_file_counts_for_the_service_that_it_is_named_with() -> None:
    settings = "rails_puma/config/database.yml"

    assert read("rails_puma/kubernetes")["forum"].pool_size == 5
    assert read("rails_puma/kubernetes", settings)["forum"].pool_size == 6


def test_a_task_without_a_service_is_counted_once_and_noted() -> None:
    service = read("ecs_fargate/task-definition.json")["catalog"]

    assert (service.replicas, service.surge) == (1, 0)
    assert "1 task: no service that runs it was read" in service.notes


def test_no_value_of_a_setting_is_part_of_a_service() -> None:
    everything = str([read(each.name, cpus=2) for each in CHARTS.iterdir()])

    for secret in ("hunter2", "correct-horse", "s3cr3t", "tr0ub4dor"):
        assert secret not in everything
