"""What looks like production."""

import pytest

from connection_guard.cli.drill.production_words import production_signs


@pytest.mark.parametrize(
    "name",
    [
        "prod",
        "orders-prod",
        "prod_eu_1",
        "orders.production.internal",
        "ordersProd",
        "PRD",
        "prd1",
        "prod1",
        "my-production-db",
        "prd_orders",
        "ordersprod",
        "proddb",
        "PRODOrders",
        "reproduction",
        "produktion-eu",
        "product-catalogue-prod",
        "live",
        "ordersLive",
        "orders-live-2",
        "non-prod",
    ],
)
def test_a_sign_of_production_counts_wherever_it_is(name: str) -> None:
    assert production_signs({"its name": name}) == [f'its name "{name}"']


@pytest.mark.parametrize(
    "name",
    [
        "orders",
        "products",
        "producer",
        "produkte",
        "delivery",
        "olive",
        "staging",
        "product-catalogue",
        "ProductCatalogue",
        "liveness",
        "",
    ],
)
def test_another_word_does_not(name: str) -> None:
    assert production_signs({"its name": name}) == []


def test_everything_that_was_seen_is_named() -> None:
    texts = {
        "its name": "orders",
        "its environment": "Production",
        "its owner": None,
        "tag a": "prd",
    }

    assert production_signs(texts) == ['its environment "Production"', 'tag a "prd"']
