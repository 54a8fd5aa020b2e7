"""Sessions that were opened just now: connection storms, and clients without a pool."""

from datetime import timedelta

from connection_guard.core.database.trend import Logins
from connection_guard.core.diagnosis.cause import Cause
from connection_guard.core.diagnosis.diagnose import diagnose
from tests.support.builders import NOW, a_session, a_snapshot
from tests.support.symptoms import MINUTE, SECOND, advice_of, causes, the_only, working


def test_many_clients_that_open_a_session_each_need_a_proxy() -> None:
    opened = [
        a_session(client=f"10.0.2.{n}", connected_for=30 * SECOND, idle_for=SECOND)
        for n in range(60)
    ]

    found = the_only(diagnose(a_snapshot(*opened, *working(10))))

    assert (found.cause, found.sessions, found.since) == (
        Cause.CONNECTION_STORM,
        60,
        NOW - 30 * SECOND,
    )
    assert "60 of 70 sessions were opened within the last 30 s" in found.summary
    assert advice_of(found).startswith(
        'Put RDS Proxy in front of the database for application "checkout" (role "app"): 60 clients'
    )


def test_few_clients_that_open_many_sessions_need_back_off() -> None:
    opened = [
        a_session(client=f"10.0.2.{n % 3}", connected_for=MINUTE, idle_for=SECOND)
        for n in range(60)
    ]

    assert "3 clients opened 60 sessions at once" in advice_of(
        the_only(diagnose(a_snapshot(*opened)))
    )


def test_a_pool_freshly_opened_on_one_of_many_clients_is_nothing() -> None:
    """A deploy replaces one client of several: its sessions are new and unused, which
    is no fault.
    """
    opened = [
        a_session(client="10.0.2.1", connected_for=MINUTE, idle_for=MINUTE) for _ in range(20)
    ]

    assert Cause.CONNECTION_STORM not in causes(diagnose(a_snapshot(*opened, *working(50))))
    assert Cause.LEAK not in causes(diagnose(a_snapshot(*opened, *working(50))))


def test_what_rds_proxy_opens_is_not_a_storm_of_the_application() -> None:
    opened = [a_session(connected_for=MINUTE, idle_for=SECOND, proxied=True) for _ in range(60)]

    assert causes(diagnose(a_snapshot(*opened))) == [Cause.NO_SINGLE_CAUSE]


def test_a_login_for_each_use_is_a_cause_of_its_own() -> None:
    fresh = [
        a_session(client=f"10.0.2.{n}", connected_for=SECOND, idle_for=timedelta())
        for n in range(12)
    ]
    logins = some_logins(3400, shop=3300, mail=100)

    found = diagnose(a_snapshot(*fresh, *working(70)), logins=logins)
    gone = diagnose(a_snapshot(*working(70)), logins=logins)

    churn = next(each for each in found if each.cause is Cause.CHURN)
    assert (
        churn.summary
        == '3,400 logins per minute; application "checkout" (role "app") has 12 of the 12 '
        "youngest sessions"
    )
    assert (
        churn.sessions,
        churn.evidence["abandoned per minute"],
        churn.evidence["fatal per minute"],
    ) == (12, 7, 3)
    unseen = next(each for each in gone if each.cause is Cause.CHURN)
    assert '3,400 logins per minute, 3,300 of them to database "shop"' in unseen.summary


def test_logins_of_pools_that_start_are_no_churn() -> None:
    """A hundred logins in a minute, and all of these sessions stay."""
    opened = [a_session(connected_for=30 * SECOND, idle_for=SECOND) for _ in range(90)]

    assert Cause.CHURN not in causes(diagnose(a_snapshot(*opened), logins=some_logins(100)))
    assert Cause.CHURN not in causes(diagnose(a_snapshot(*working(90)), logins=some_logins(90)))


def some_logins(total: int, **by_database: int) -> Logins:
    """Within the last minute."""
    return Logins(
        since=NOW - MINUTE, over=MINUTE, total=total, abandoned=7, fatal=3, by_database=by_database
    )
