"""What one kind of file says in a way of its own, in small files."""

from base64 import b64encode
from pathlib import Path

import pytest

from connection_guard.cli.budget.gather_workloads import gather_workloads
from connection_guard.cli.budget.pools.service_pools import services_of
from connection_guard.core.budget.pool_budget import assigned
from connection_guard.core.budget.service import Service

DEPLOYMENT = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: api}}
spec:
  {spec}
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      containers:
        - name: api
          image: {image}
          env: {env}
          envFrom: [{{secretRef: {{name: api}}, prefix: DB_}}]
"""
ENV = "[{name: PGHOST, value: orders.example}, {name: DB_POOL_SIZE, value: '5'}]"


def read(folder: Path, **files: str) -> dict[str, Service]:
    """Return the services of files, whose names have "_" for "."."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    names = [str(folder / name.replace("_", ".")) for name in files]
    return {each.name: each for each in services_of(gather_workloads(names))}


def deployment(
    kind: str = "Deployment", spec: str = "replicas: 4", env: str = ENV, image: str = "api"
) -> str:
    return DEPLOYMENT.format(kind=kind, spec=spec, env=env, image=image)


@pytest.mark.parametrize(
    ("kind", "spec", "replicas", "surge"),
    [
        ("Deployment", "replicas: 4", 4, 1),
        ("Deployment", "replicas: 5", 5, 2),
        ("Deployment", "{}", 1, 1),
        ("Deployment", "strategy: {rollingUpdate: {maxSurge: 3}}", 1, 3),
        ("Deployment", "strategy: {type: Recreate}", 1, 0),
        ("StatefulSet", "replicas: 4", 4, 0),
        ("Job", "parallelism: 3", 3, 0),
        ("Rollout", "strategy: {canary: {maxSurge: 2}}", 1, 2),
        ("Rollout", "replicas: 4\n  strategy: {blueGreen: {activeService: api}}", 4, 4),
    ],
)
def test_each_kind_of_workload_has_its_replicas_and_surge(
    tmp_path: Path, kind: str, spec: str, replicas: int, surge: int
) -> None:
    text = deployment(kind, "" if spec == "{}" else spec)

    service = read(tmp_path, a_yaml=text)["api"]

    assert (service.replicas, service.surge) == (replicas, surge)


def test_a_daemon_set_has_as_many_as_there_are_nodes(tmp_path: Path) -> None:
    service = read(tmp_path, a_yaml=deployment("DaemonSet", ""))["api"]

    assert service.connections is None
    assert service.missing == "write replicas in guard.toml: a DaemonSet has one per node"


@pytest.mark.parametrize(
    ("scaler", "replicas"),
    [
        (
            (
                "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec: {scaleTargetRef: "
                "{kind: Deployment, name: api}, maxReplicas: 12}"
            ),
            12,
        ),
        (
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec: {scaleTargetRef: {name: api}}",
            100,
        ),
        (
            (
                "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec: {scaleTargetRef: "
                "{kind: Deployment, name: other}, maxReplicas: 12}"
            ),
            4,
        ),
    ],
)
def test_an_autoscaler_in_another_file_counts(tmp_path: Path, scaler: str, replicas: int) -> None:
    assert read(tmp_path, a_yaml=deployment(), b_yaml=scaler)["api"].replicas == replicas


def test_a_secret_among_the_manifests_is_read_and_not_shown(tmp_path: Path) -> None:
    url = b64encode(b"postgres://app:hunter2@orders.example/a").decode()
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: api}}\ndata: {{URL: {url}}}\n"
    env = "[{name: DB_POOL_SIZE, value: '5'}]"

    service = read(tmp_path, a_yaml=deployment(env=env), b_yaml=secret)["api"]

    assert service.host == "orders.example"
    assert "hunter2" not in str(service)


def test_a_pgbouncer_answers_to_the_service_that_leads_to_it(tmp_path: Path) -> None:
    pooler = deployment(image="bitnami/pgbouncer:1").replace(": api", ": pool")
    leads = "apiVersion: v1\nkind: Service\nmetadata: {name: pg}\nspec: {selector: {app: pool}}\n"
    client = deployment(env=ENV.replace("orders.example", "pg.shop.svc"))

    found = read(tmp_path, a_yaml=pooler, b_yaml=leads, c_yaml=client)
    placed = {each.name: each for each in assigned(found.values(), {"orders.example": "o"}, {})}

    assert (placed["api"].through, placed["api"].database) == ("pool", "o")


def test_an_ini_is_that_of_the_only_pgbouncer(tmp_path: Path) -> None:
    compose = "services: {pool: {image: edoburu/pgbouncer, deploy: {replicas: 2}}}"
    ini = "[databases]\n* = host=orders.example\n[pgbouncer]\ndefault_pool_size = 7\n"

    assert read(tmp_path, a_yaml=compose, pgbouncer_ini=ini)["pool"].connections == 14

    alone = read(tmp_path, pgbouncer_ini=ini)["pgbouncer"]
    assert alone.connections == 7
    assert "1 replica: nothing that runs it was read" in alone.notes


@pytest.mark.parametrize(
    ("deploy", "surge"),
    [
        ("{replicas: 3}", 0),
        ("{replicas: 3, update_config: {order: stop-first}}", 0),
        ("{replicas: 3, update_config: {order: start-first}}", 1),
        ("{replicas: 3, update_config: {order: start-first, parallelism: 0}}", 3),
        ("{replicas: 3, update_config: {order: start-first, parallelism: 9}}", 3),
    ],
)
def test_compose_starts_others_first_only_where_it_is_said(
    tmp_path: Path, deploy: str, surge: int
) -> None:
    text = f"services: {{api: {{deploy: {deploy}, environment: {{PGHOST: db, DB_POOL: 1}}}}}}"

    assert read(tmp_path, a_yaml=text)["api"].surge == surge


def test_compose_fills_in_the_defaults_of_its_variables(tmp_path: Path) -> None:
    text = "services: {api: {scale: '${N:-3}', environment: {PGHOST: db, DB_POOL: '${P-2}'}}}"

    assert read(tmp_path, a_yaml=text)["api"].connections == 6


@pytest.mark.parametrize(
    ("service", "replicas", "surge"),
    [
        ('{"desiredCount": 3}', 3, 3),
        ('{"desiredCount": 3, "deploymentConfiguration": {"maximumPercent": 150}}', 3, 1),
        ('{"desiredCount": 3, "deploymentConfiguration": {"maximumPercent": 100}}', 3, 0),
    ],
)
def test_amazon_ecs_doubles_its_tasks_unless_it_is_said(
    tmp_path: Path, service: str, replicas: int, surge: int
) -> None:
    task = """{"family": "api", "containerDefinitions": [{"name": "api", "image": "api",
        "environment": [{"name": "DB_POOL_SIZE", "value": "5"}],
        "secrets": [{"name": "DATABASE_URL", "valueFrom": "arn"}]}]}"""
    described = service.replace("{", '{"serviceName": "web", "taskDefinition": "api:3", ', 1)

    found = read(tmp_path, task_json=task, service_json=described)["web"]

    assert (found.replicas, found.surge, found.pool_size, found.host) == (replicas, surge, 5, None)


def test_a_secret_of_a_task_shows_that_it_uses_a_database(tmp_path: Path) -> None:
    task = """{"family": "api", "containerDefinitions": [{"name": "api", "image": "api",
        "secrets": [{"name": "DATABASE_URL", "valueFrom": "arn"}]}]}"""

    assert read(tmp_path, task_json=task)["api"].connections is None


def test_a_value_that_helm_would_render_is_not_known(tmp_path: Path) -> None:
    values = """
        replicaCount: 2
        env: {DB_HOST: '{{ .Release.Name }}-db', DB_POOL_SIZE: '{{ .Values.pool }}'}
    """

    [service] = read(tmp_path, values_yaml=values).values()

    assert (service.name, service.host, service.connections) == (tmp_path.name, None, None)


def test_other_files_of_a_folder_are_left_out_however_large(tmp_path: Path) -> None:
    (tmp_path / "package-lock.json").write_text(f'{{"packages": "{"x" * 5_000_000}"}}')
    (tmp_path / "notes.yaml").write_text("a: [1\n")
    (tmp_path / "api.yaml").write_text(deployment())

    [service] = services_of(gather_workloads([str(tmp_path)]))

    assert service.connections == 25


def test_settings_of_spring_beside_a_chart_count(tmp_path: Path) -> None:
    values = "replicaCount: 2\nenv: {SPRING_PROFILES_ACTIVE: production}\n"
    settings = "spring.datasource.url=jdbc:postgresql://orders.example/a\n"
    more = "spring: {datasource: {hikari: {maximumPoolSize: 6}}}\n"

    found = read(tmp_path, values_yaml=values, application_properties=settings, app_yaml=more)

    [service] = found.values()
    assert (service.host, service.pool_size) == ("orders.example", 6)
