"""What sessions show of the services that have opened them: by application_name."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connection_guard.core.budget.service import Service
from connection_guard.core.database.session import Session


@dataclass(frozen=True, slots=True)
class Seen:
    """How many sessions the latest look saw, and the most that were seen at once."""

    latest: int
    most: int


def sessions_by_application(
    sessions: Iterable[Session], guard_roles: Collection[str]
) -> Counter[str]:
    """Return how many sessions each application has, without the guard's and Amazon's own."""
    return Counter(
        each.application_name or f"(no application_name) {each.role}"
        for each in sessions
        if each.role not in guard_roles and not each.is_owned_by_amazon
    )


def by_service(
    services: Sequence[Service], applications: Mapping[str, Seen]
) -> tuple[dict[str, Seen], dict[str, Seen]]:
    """Return what was seen of each service by its name, and the applications that are none.

    An application is a service's where its name is that of the service or of its `application`, or
    begins with it: what follows may be a pod's own name.
    """
    known = {each.application or each.name: each.name for each in services}
    of_services: dict[str, list[Seen]] = {}
    others = {}
    for application, seen in applications.items():
        meant = [name for name in known if _belongs(application, name)]
        if meant:
            of_services.setdefault(known[max(meant, key=len)], []).append(seen)
        else:
            others[application] = seen
    return {name: _together(parts) for name, parts in of_services.items()}, others


def _belongs(application: str, name: str) -> bool:
    rest = application.removeprefix(name)
    return application.startswith(name) and (not rest or not rest[0].isalnum())


def _together(parts: Iterable[Seen]) -> Seen:
    seen = list(parts)
    return Seen(sum(each.latest for each in seen), sum(each.most for each in seen))
