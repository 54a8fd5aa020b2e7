"""How many connections applications can get."""

from connection_guard.core.database.capacity import Capacity, ConnectionLimit, LimitOwner


def test_every_reservation_is_taken_off_and_one_connection_is_left() -> None:
    assert Capacity(100, {}).usable == 100
    assert Capacity(100, {"for superusers": 3, "for operators": 5}).usable == 92
    assert Capacity(5, {"for superusers": 8}).usable == 1


def test_a_limit_of_0_counts_as_full() -> None:
    assert ConnectionLimit(LimitOwner.ROLE, "reports", 20, 15).utilisation == 75
    assert ConnectionLimit(LimitOwner.ROLE, "former", 0, 0).utilisation == 100
