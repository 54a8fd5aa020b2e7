"""What keeps the guard from its work: which of it is a fault, and which is only a full server."""

from dataclasses import replace

import pytest

from connection_guard.core.database.door import DoorAttempt, DoorName
from connection_guard.core.database.guard_faults import DirectDoor, Fault, faults_of
from connection_guard.core.database.snapshot import Measurement, Privileges
from connection_guard.errors import Refusal
from tests.support.builders import a_capacity, a_measurement

ALL = Privileges(reads_all_stats=True, signals_sessions=True, uses_reserved_connections=True)
BLIND = replace(ALL, reads_all_stats=False)
POWERLESS = replace(ALL, signals_sessions=False)
IN_ORDER = DirectDoor(True, ALL)
THROUGH_PROXY = DoorAttempt(DoorName.PROXY, True, 0, 0.01, None)
REFUSED = DoorAttempt(DoorName.PROXY, False, 1, 2.0, "timed out")
DIRECTLY = DoorAttempt(DoorName.DIRECT, False, 1, 0.1, None)


def used(number: int, privileges: Privileges = ALL) -> Measurement:
    return a_measurement(used=number, capacity=a_capacity(103), privileges=privileges)


@pytest.mark.parametrize("direct", [DirectDoor(), IN_ORDER])
def test_a_guard_that_is_in_and_whose_doors_are_not_known_to_be_shut_is_healthy(
    direct: DirectDoor,
) -> None:
    assert faults_of(used(30), [THROUGH_PROXY], direct, 90) == ()


def test_a_guard_that_is_not_in_has_that_fault_only() -> None:
    attempts = [REFUSED, replace(DIRECTLY, error="timed out")]
    assert faults_of(None, attempts, DirectDoor(False), 90) == (Fault.LOCKED_OUT,)


def test_the_direct_door_is_as_it_was_when_it_was_last_tried() -> None:
    assert faults_of(used(30), [THROUGH_PROXY], DirectDoor(False), 90) == (Fault.DIRECT_DOOR_SHUT,)


@pytest.mark.parametrize(
    ("privileges", "fault"),
    [(BLIND, Fault.SESSIONS_HIDDEN), (POWERLESS, Fault.MISSING_GRANT)],
)
def test_a_privilege_is_missing_behind_either_door(privileges: Privileges, fault: Fault) -> None:
    assert faults_of(used(30, privileges), [DIRECTLY], IN_ORDER, 90) == (fault,)
    behind = DirectDoor(True, privileges)
    assert faults_of(used(30), [THROUGH_PROXY], behind, 90) == (fault,)
    assert behind.needs_test, "so that its end is seen within a minute"


def test_a_proxy_that_refuses_is_a_fault_unless_the_server_is_full() -> None:
    attempts = [REFUSED, DIRECTLY]
    assert faults_of(used(89), attempts, IN_ORDER, 90) == (Fault.PROXY_DOOR_SHUT,)
    assert faults_of(used(90), attempts, IN_ORDER, 90) == ()
    full = [replace(REFUSED, refusal=Refusal.FULL), DIRECTLY]
    assert faults_of(used(30), full, IN_ORDER, 90) == ()
    assert faults_of(used(30), [REFUSED, DIRECTLY, THROUGH_PROXY], IN_ORDER, 90) == ()


def test_only_a_direct_door_in_order_can_wait_for_its_next_test() -> None:
    assert not IN_ORDER.needs_test
    assert DirectDoor().needs_test
    assert DirectDoor(False).needs_test
