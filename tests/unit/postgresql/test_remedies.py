"""The remedies of a diagnosis in PostgreSQL's words."""

import pytest

from connection_guard.adapters.postgresql.remedies import statement
from connection_guard.core.diagnosis.remedy import Remedy, RemedyKind, worded_advice


@pytest.mark.parametrize("kind", RemedyKind)
def test_every_remedy_has_words(kind: RemedyKind) -> None:
    said = statement(Remedy(kind, "app", 7))
    assert said
    assert "{" not in said


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        (Remedy(RemedyKind.LIMIT_ROLE, "{a}", 58), 'ALTER ROLE "{a}" CONNECTION LIMIT 58'),
        (Remedy(RemedyKind.LIMIT_DATABASE, "shop", 9), 'ALTER DATABASE "shop" CONNECTION LIMIT 9'),
        (Remedy(RemedyKind.UNLIMIT_ROLE, 'x"; --'), 'ALTER ROLE "x""; --" CONNECTION LIMIT -1'),
        (Remedy(RemedyKind.TERMINATE_SESSION, number=7), "SELECT pg_terminate_backend(7)"),
    ],
)
def test_a_remedy_names_its_role_database_or_pid(remedy: Remedy, said: str) -> None:
    assert statement(remedy) == said


def test_advice_is_one_text_whether_or_not_it_has_remedies() -> None:
    remedy = Remedy(RemedyKind.LOG_LOGINS)
    assert worded_advice("Look", statement) == "Look"
    assert worded_advice(("Set ", remedy, " first"), statement) == "Set log_connections first"
