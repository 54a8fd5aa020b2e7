"""The scenarios: each builds a situation, lets the guard see it, and returns what is true of it.

The server has 50 usable connections; the guard and the lab's observer take one each. The policy's
target leaves 34. Ages are the server's. One library plays the leading part under the name shop;
every other application uses SQLAlchemy, which lends its sessions in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass

from clients.lab.lab import Lab
from clients.lab.libraries import Library
from clients.lab.truth import Truth
from clients.scenarios.forgotten import (
    forgotten_transactions,
    leak_from_full_pool,
    leak_on_demand,
    quiet_beside_leak,
)
from clients.scenarios.idle_on_purpose import (
    cursor_with_hold,
    foreign_table,
    listen_then_work,
    renamed_dump,
    unfinished_copy,
)
from clients.scenarios.load import genuine_load, storm
from clients.scenarios.many_processes import (
    deployed_one_after_another,
    processes_started_in_turn,
    processes_started_together,
)
from clients.scenarios.quiet_pools import (
    grown_with_traffic,
    idle_pool,
    light_traffic,
    pgbouncer_session,
    pgbouncer_transaction,
    pool_refills_itself,
    traffic_returns,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario; `build` plays it and returns what is true. `has_library` is False where no
    library plays a part.
    """

    name: str
    build: Callable[[Lab, Library], Truth]
    has_library: bool = True


def _named(build: Callable[[Lab, Library], Truth]) -> str:
    return build.__name__.replace("_", " ")


SCENARIOS = (
    *(
        Scenario(_named(build), build)
        for build in (
            idle_pool,
            leak_from_full_pool,
            leak_on_demand,
            forgotten_transactions,
            quiet_beside_leak,
            processes_started_together,
            processes_started_in_turn,
            deployed_one_after_another,
            grown_with_traffic,
            storm,
            traffic_returns,
            pool_refills_itself,
            light_traffic,
            pgbouncer_session,
            pgbouncer_transaction,
        )
    ),
    *(
        Scenario(_named(build), build, has_library=False)
        for build in (
            genuine_load,
            listen_then_work,
            foreign_table,
            cursor_with_hold,
            renamed_dump,
            unfinished_copy,
        )
    ),
)
