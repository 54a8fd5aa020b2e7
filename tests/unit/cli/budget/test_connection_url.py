"""What is read of a connection string, and that its password is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connection_guard.cli.budget.pools.connection_url import connection_url


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("postgres://app:secret@Orders.Example:5432/shop", "orders.example"),
        ("postgresql://orders.example/shop", "orders.example"),
        ("postgresql+asyncpg://app@orders.example/shop?ssl=require", "orders.example"),
        ("jdbc:postgresql://orders.example:5432/shop?user=a&password=b@c", "orders.example"),
        ("jdbc:postgresql://one.example:5432,two.example:5432/shop", "one.example"),
        ("postgresql:///shop?host=orders.example", "orders.example"),
        ("postgres://app:p@ss@orders.example/shop", "orders.example"),
        ("postgres://app@[2001:db8::1]:5432/shop", "[2001:db8::1]"),
        ("host=orders.example dbname=shop user=app password='a b'", "orders.example"),
        ("Host=orders.example;Database=shop;Username=app;Password=x", "orders.example"),
    ],
)
def test_the_host_is_read(value: str, host: str) -> None:
    found = connection_url(value)

    assert found is not None
    assert found.host == host


@pytest.mark.parametrize(
    "value", ["", "shop", "mysql://app@orders/shop", "redis://cache:6379", "https://example.com"]
)
def test_what_is_no_connection_string_is_none(value: str) -> None:
    assert connection_url(value) is None


def test_parameters_are_read() -> None:
    found = connection_url("postgres://a@b/c?connection_limit=5&schema=public")

    assert found is not None
    assert found.parameters == {"connection_limit": "5", "schema": "public"}


@pytest.mark.parametrize(
    "value",
    [
        "postgres://app:se/cr3t@orders.example/shop",
        "postgres://app:se#cr3t@orders.example/shop",
        "postgres://app:se[cr3t@orders.example/shop",
        "postgres://app:se cr3t@orders.example/shop",
    ],
)
def test_a_password_that_is_not_quoted_is_not_taken_for_a_host(value: str) -> None:
    found = connection_url(value)

    assert found is not None
    assert "cr3t" not in str(found)
    assert found.host in (None, "orders.example")


@given(st.text(alphabet="ab1@:/?#[]%&= .,'\\", max_size=12))
def test_any_password_is_read_without_an_error(password: str) -> None:
    connection_url(f"postgres://app:{password}@orders.example/shop")
    connection_url(f"host=orders.example password={password} dbname=a")
