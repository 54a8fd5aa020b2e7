"""The way to a door, as the doctor judges it."""

import pytest

from connection_guard.cli.doctor.doors.network_checks import (
    check_name,
    check_network,
    check_port,
    check_tls,
)
from connection_guard.cli.doctor.facts.door_facts import NetworkFacts, TlsFacts
from connection_guard.core.database.door import DoorName
from tests.support.cli.doctor_facts import (
    a_certificate,
    a_door,
    a_visit,
    is_finding,
    is_ok,
    is_unchecked,
    some_network,
)
from tests.support.configurations import a_cluster, a_database

DATABASE = a_database()
UNRESOLVED = NetworkFacts("Name or service not known", None)


def test_a_way_without_obstacles_has_no_finding() -> None:
    checks = check_network(a_visit(), DATABASE)

    assert [(each.check, is_ok(each)) for each in checks] == [
        ("name (direct)", True),
        ("port (direct)", True),
        ("TLS (direct)", True),
    ]
    assert checks[0].detail == f"{DATABASE.host} is 10.0.0.5"


def test_a_name_without_address_leaves_the_rest_unchecked() -> None:
    name, port, tls = check_network(a_visit(UNRESOLVED), DATABASE)

    assert is_finding(name)
    assert name.detail == f"{DATABASE.host} has no address: Name or service not known"
    [remedy] = name.remedy
    assert remedy.startswith("aws rds describe-db-instances --db-instance-identifier orders ")
    assert is_unchecked(port)
    assert is_unchecked(tls)


def test_the_endpoint_of_a_cluster_is_asked_of_the_cluster() -> None:
    [remedy] = check_name(a_visit(UNRESOLVED), a_cluster()).remedy
    assert remedy.startswith("aws rds describe-db-clusters --db-cluster-identifier orders ")


def test_behind_a_tunnel_no_name_is_needed() -> None:
    network = some_network(addresses="no name server", tunnel=("127.0.0.1", 15432))
    assert is_unchecked(check_name(a_visit(network), DATABASE))
    assert network.obstacle is None


@pytest.mark.parametrize(
    ("network", "advice"),
    [
        (
            some_network(connected=None, connection_problem="10.0.0.5:5432 did not answer"),
            "a security group admits no connection from here, or no route leads there",
        ),
        (
            some_network(connected=None, connection_problem="refused", is_refused=True),
            "nothing listens on this port",
        ),
        (
            some_network(connected=None, connection_problem="x", tunnel=("127.0.0.1", 1)),
            "is the tunnel open, and is this its port?",
        ),
    ],
)
def test_a_port_that_is_not_reached_says_why(network: NetworkFacts, advice: str) -> None:
    check = check_port(a_visit(network), DATABASE)

    assert is_finding(check)
    assert check.detail.endswith(f": {advice}")


def test_the_remedy_of_a_far_database_is_a_tunnel() -> None:
    network = some_network(connected=None, connection_problem="10.0.0.5:5432 did not answer")
    start, again = check_port(a_visit(network), DATABASE).remedy

    assert f"host={DATABASE.host},portNumber=5432,localPortNumber=15432" in start
    assert again == "connection-guard doctor orders --host localhost:15432"


@pytest.mark.parametrize(("days", "is_well"), [(300, True), (30, True), (29, False), (0, False)])
def test_a_certificate_is_a_finding_before_it_ends(days: int, is_well: bool) -> None:
    tls = TlsFacts(True, "TLSv1.3", a_certificate(days))
    check = check_tls(a_visit(some_network(tls=tls)), DATABASE)

    assert is_ok(check) == is_well
    assert check.detail == f"TLSv1.3, orders.example, by Amazon RDS, {days} days left"
    assert bool(check.remedy) != is_well


def test_rds_itself_renews_the_certificate_of_a_proxy() -> None:
    tls = TlsFacts(True, "TLSv1.3", a_certificate(3))
    visit = a_visit(some_network(tls=tls), a_door(DoorName.PROXY))

    assert check_tls(visit, DATABASE).remedy == ()


def test_a_certificate_that_has_expired_is_replaced() -> None:
    tls = TlsFacts(True, problem="certificate has expired", has_expired=True)
    check = check_tls(a_visit(some_network(tls=tls)), DATABASE)

    assert is_finding(check)
    assert "modify-db-instance" in check.remedy[0]


def test_another_problem_of_tls_keeps_the_login_from_being_tried() -> None:
    network = some_network(tls=TlsFacts(True, problem="self-signed certificate"))

    assert is_finding(check_tls(a_visit(network), DATABASE))
    assert network.obstacle == "TLS failed"


def test_tls_that_nobody_asked_to_verify_is_not_called_well() -> None:
    check = check_tls(a_visit(some_network(tls=TlsFacts(False, "TLSv1.3"))), None)

    assert is_unchecked(check)
    assert check.remedy == ("export PGSSLMODE=verify-full",)


def test_what_a_certificate_says_cannot_command_a_terminal() -> None:
    tls = TlsFacts(True, "TLSv1.3", a_certificate(name="\x1b[2Jevil\n"))
    assert "\x1b" not in check_tls(a_visit(some_network(tls=tls)), DATABASE).detail
