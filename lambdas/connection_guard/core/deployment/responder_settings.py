"""The settings of the responder: written at deployment, without a secret."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from connection_guard.core.database.door import Door, DoorName
from connection_guard.core.policy import Tier
from connection_guard.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "CONNECTION_GUARD_SETTINGS"


@dataclass(frozen=True, slots=True)
class ResponderSettings:
    """One guarded database.

    `database` is the identifier of the DB instance or cluster, `database_name` the PostgreSQL
    database to log in to. `proxy` is None where it has no RDS Proxy. The percentages are
    of the usable connections; from `watch_from_percent` on, a heartbeat keeps looking.
    `alarms` maps the ARN of each alarm to its tier.
    """

    database: str
    database_name: str
    region: str
    proxy: Door | None
    direct: Door
    warning_percent: float
    critical_percent: float
    watch_from_percent: float
    alarms: Mapping[str, Tier]

    @property
    def doors(self) -> tuple[Door, ...]:
        """Every door, in the order in which they are tried."""
        return (self.direct,) if self.proxy is None else (self.proxy, self.direct)

    @property
    def alarm_tiers(self) -> dict[str, Tier]:
        """The tiers by the names of the alarms."""
        return {arn.rpartition(":")[2]: tier for arn, tier in self.alarms.items()}

    @property
    def roles(self) -> tuple[str, ...]:
        """The guard's own roles: one where both doors share it."""
        return tuple(dict.fromkeys(door.role for door in self.doors))

    def to_environment(self) -> dict[str, str]:
        """Return the environment variable for the function."""
        return {ENVIRONMENT_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ResponderSettings":
        """Return what `to_environment` wrote.

        Raises ConfigurationError where it is missing or malformed.
        """
        try:
            written = json.loads(environment[ENVIRONMENT_VARIABLE])
            proxy = written.pop("proxy", None)  # the CDK writes no null
            direct = written.pop("direct")
            alarms = written.pop("alarms")
            return cls(
                proxy=_door(proxy) if proxy else None,
                direct=_door(direct),
                alarms={arn: Tier(tier) for arn, tier in alarms.items()},
                **written,
            )
        except KeyError as missing:
            raise ConfigurationError(
                f"environment variable {ENVIRONMENT_VARIABLE}: {missing} is missing"
            ) from missing
        except (ValueError, TypeError, AttributeError) as wrong:
            problem = f"not what ResponderSettings.to_environment writes ({wrong})"
            raise ConfigurationError(
                f"environment variable {ENVIRONMENT_VARIABLE}: {problem}"
            ) from wrong


def _door(written: dict[str, Any]) -> Door:
    return Door(DoorName(written["name"]), written["host"], int(written["port"]), written["role"])
