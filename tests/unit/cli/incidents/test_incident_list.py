"""An incident is found by what messages show of it, and by nothing that could be another."""

from datetime import timedelta

import pytest

from connection_guard.adapters.aws.incident_table import Kept
from connection_guard.cli.incidents.incident_list import meant
from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.incident.incident import Incident
from tests.support.reporter.incidents import OPENED, an_entry


def kept(*incidents: Incident) -> dict[str, Kept]:
    return {each.id: Kept(each, {}, None) for each in incidents}


def of_day(day: int, database: str = "orders") -> Incident:
    at = OPENED + timedelta(days=day)
    key = f"evidence/{day}.jsonl.gz"
    entries = (
        an_entry(at=at, request_id=f"first-{day}", evidence=key),
        an_entry(at=at + timedelta(minutes=1), request_id=f"second-{day}"),
    )
    return Incident(database, f"{at:%Y%m%dT%H%M%S}-first-{day}", entries)


FOUND = kept(of_day(0), of_day(2), of_day(1), of_day(3, "users"))


@pytest.mark.parametrize(
    "text",
    [
        of_day(2).id,
        of_day(2).id[:9],
        "second-2",
        "first-2",
        "evidence/2.jsonl.gz",
        "orders",
    ],
)
def test_it_is_found_by_its_id_a_run_its_evidence_or_its_database(text: str) -> None:
    assert meant(FOUND, text) == of_day(2).id


def test_the_beginning_of_several_is_refused_with_their_ids() -> None:
    with pytest.raises(
        UserMistakeError, match=r'^"202611" is 4 incidents: name one, of "'
    ) as error:
        meant(FOUND, "202611")
    assert all(each in str(error.value) for each in FOUND)


def test_an_id_that_is_the_beginning_of_another_is_its_own() -> None:
    longer = Incident("orders", f"{of_day(0).id}1", of_day(0).entries)
    assert meant(FOUND | kept(longer), of_day(0).id) == of_day(0).id


@pytest.mark.parametrize("text", ["", "second", "order", "\x1b[2J"])
def test_anything_else_is_a_line_that_leads_on(text: str) -> None:
    with pytest.raises(UserMistakeError, match="is no incident of this stack: ") as error:
        meant(FOUND, text)
    assert str(error.value).isprintable()


def test_the_nearest_id_is_offered() -> None:
    with pytest.raises(UserMistakeError, match=f'did you mean "{of_day(2).id}"'):
        meant(FOUND, of_day(2).id.replace("T03", "T04"))
