"""The unit of a series, from what its title and description say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.explain.units import unit_of


@pytest.mark.parametrize(
    ("title", "unit"),
    [
        ("Urea price in USD per kg", "USD per kg"),
        ("Brent price US$/barrel", "USD per barrel"),
        ("Copper price, USD/t, monthly", "USD per tonne"),
        ("Electricity price EUR/MWh Germany", "EUR per MWh"),
        ("Sales of bolts in units", "units"),
        ("Sales in thousand EUR", "thousand EUR"),
        ("Revenue (EUR million)", "million EUR"),
        ("Umsatz in kEUR", "thousand EUR"),
        ("Umsatz (T€)", "thousand EUR"),
        ("Demand in pieces per month, Germany", "pieces"),
        ("Revenue in millions of euros", "million EUR"),
        ("Customs value in actual U.S. dollars", "USD"),
        ("Beer production (litres)", "litres"),
        ("Heat pump demand in Austria, units a month", "units"),
        ("Unemployment rate, percent", "percent"),
        ("Unemployment rate (%)", "percent"),
        ("Composite demand index", "points"),
    ],
)
def test_a_unit_that_is_named_is_found(title: str, unit: str) -> None:
    assert unit_of(title, "") == unit


@pytest.mark.parametrize(
    "title",
    [
        "Average hourly earnings",
        "Sales in EUR and USD",
        "Copper price, USD/t and EUR/t",
        "Growth in hours worked",
        "Wages, hours worked and employment",
        "In house production",
        "Employment in Germany",
        "Production of indexed goods",
    ],
)
def test_no_unit_is_better_than_a_wrong_one(title: str) -> None:
    assert unit_of(title, "") is None


def test_the_title_goes_before_the_description() -> None:
    assert unit_of("Price in EUR per kg", "Formerly in USD per kg") == "EUR per kg"
    assert unit_of("Price of copper", "Cash price in USD per tonne") == "USD per tonne"


@given(st.text(max_size=300), st.text(max_size=300))
def test_nothing_of_the_text_itself_is_spoken(title: str, description: str) -> None:
    found = unit_of(title, description)

    assert found is None or (found.isascii() and len(found) < 30 and found.replace(" ", "").isalpha())
