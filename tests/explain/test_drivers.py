"""Drivers are grouped by name, ranked, and each doubt about them is named."""

import json

import pytest

from sybilion_mcp.contract.artifacts import read_external_signals
from sybilion_mcp.explain.drivers import Drivers, chosen, group_drivers, table

from .made_up import driver_of, signals_of


def grouped(*drivers: dict[str, object], **titles: str) -> Drivers:
    return group_drivers(read_external_signals(signals_of(*drivers)), titles)


def doubts_of(driver: dict[str, object], **titles: str) -> tuple[str, ...]:
    (group,) = grouped(driver, **titles).groups
    return group.doubts


def test_a_group_speaks_with_its_strongest_series() -> None:
    drivers = grouped(
        driver_of("Energy - World", 40, -0.9, lag_1=-0.95),
        driver_of("Energy - World", 90, 0.5, lag_1=0.4, lag_2=0.6, lag_3=-0.5),
        driver_of("Energy - World", 0, 0.1, lag_1=0.1),
    )

    (group,) = drivers.groups
    assert (group.name, group.series, drivers.series, drivers.group_count) == ("Energy - World", 3, 3, 1)
    assert (group.importance, group.direction) == (90, 0.5)
    assert (group.lag, group.correlation) == (2, 0.6)


def test_of_equally_important_series_the_better_correlated_speaks() -> None:
    (group,) = grouped(driver_of("A", 50, 0.3, lag_1=0.3), driver_of("A", 50, -0.8, lag_2=-0.8)).groups

    assert (group.direction, group.lag) == (-0.8, 2)


def test_the_earliest_of_equally_strong_lags_is_shown() -> None:
    (group,) = grouped(driver_of("A", 50, 0.5, lag_3=0.5, lag_2=-0.5)).groups

    assert (group.lag, group.correlation) == (2, -0.5)


def test_groups_without_weight_are_counted_and_not_listed() -> None:
    drivers = grouped(driver_of("A", 10, 0.5, lag_1=0.5), driver_of("B", 0, 0.9, lag_1=0.9), driver_of("C", 0))

    assert [group.name for group in drivers.groups] == ["A"]
    assert (drivers.weightless_groups, drivers.group_count) == (2, 3)


def test_sound_groups_come_first_then_importance_as_shown_then_correlation() -> None:
    drivers = grouped(
        driver_of("doubtful", 100, 0.1, lag_1=0.1),
        driver_of("low", 20, 0.9, lag_1=0.9),
        driver_of("tied and weaker", 99.99, 0.5, lag_1=0.5),
        driver_of("tied and stronger", 99.6, -0.8, lag_1=-0.8),
        driver_of("doubtful and lower", 60, 0.2, lag_1=0.2),
        driver_of("only a name"),
    )

    assert [group.name for group in drivers.groups] == [
        "tied and stronger",
        "tied and weaker",
        "low",
        "doubtful",
        "doubtful and lower",
        "only a name",
    ]
    assert [group.name for group in drivers.sound] == ["tied and stronger", "tied and weaker", "low"]


@pytest.mark.parametrize(
    ("driver", "doubts"),
    [
        (driver_of("A", 90, 0.5, lag_1=0.5), ()),
        (driver_of("A", 90, 0.3, lag_1=0.25), ()),
        (driver_of("A", 90, 0.2, lag_1=0.24, lag_2=-0.1), ("weak correlation",)),
        (driver_of("A", 49, 0.2, lag_1=0.1), ()),
        (driver_of("A", 90, -0.5, lag_1=0.5), ("signs disagree",)),
        (driver_of("A", 90, -0.004, lag_1=0.5), ()),
        (driver_of("A", 90, -0.2, lag_1=0.1), ("weak correlation", "signs disagree")),
        (driver_of("Population - Europe", 10, 0.5, lag_1=0.5), ("trending quantity",)),
        (driver_of("Number of inhabitants", 90, 0.1, lag_1=0.1), ("weak correlation", "trending quantity")),
        (driver_of("Employment-population ratio", 90, 0.5, lag_1=0.5), ()),
        (driver_of("A"), ("name only",)),
        (driver_of("A", None, 0.5, lag_1=0.5), ("no importance given",)),
        (driver_of("A", 90, 0.5), ("no correlation given",)),
    ],
)
def test_each_doubt_is_named(driver: dict[str, object], doubts: tuple[str, ...]) -> None:
    assert doubts_of(driver) == doubts


def test_importance_is_written_in_whole_points_but_a_trace_of_weight_stays() -> None:
    drivers = grouped(driver_of("A", 92.69, 0.5, lag_1=0.5), driver_of("B", 0.044, 0.5, lag_1=0.5))

    assert [group.importance for group in drivers.groups] == [93, 0.04]


def test_an_auxiliary_series_is_shown_under_the_title_of_its_caller() -> None:
    drivers = grouped(driver_of("aux_0", 90, 0.5, lag_1=0.5), aux_0="Copper price, USD\nper tonne")

    assert drivers.groups[0].name == "Copper price, USD per tonne (aux_0)"


def test_the_title_of_an_auxiliary_series_can_be_doubtful() -> None:
    assert doubts_of(driver_of("aux_1", 90, 0.5, lag_1=0.5), aux_1="Population of Ghana") == ("trending quantity",)


def test_an_auxiliary_series_without_a_title_keeps_the_name_of_the_api() -> None:
    assert grouped(driver_of("aux_11", 90, 0.5, lag_1=0.5)).groups[0].name == "aux_11"


def test_a_driver_without_a_name_is_called_so() -> None:
    assert grouped(driver_of(None, 90, 0.5, lag_1=0.5)).groups[0].name == "unnamed"


def test_whether_importance_differs_between_horizons_is_known_for_the_job() -> None:
    differing = driver_of("A", 50, 0.5, lag_1=0.5)
    differing["importance"] = {"horizon_1": {"0.0": 40.0}, "horizon_2": {"0.0": 60.0}}

    assert grouped(driver_of("A", 50)).same_at_every_horizon
    assert not grouped(driver_of("A", 50), differing).same_at_every_horizon
    assert not grouped(driver_of("A")).same_at_every_horizon


def test_few_rows_are_shared_between_sound_and_doubtful_groups() -> None:
    sound = [driver_of(f"sound {number}", 90, 0.5, lag_1=0.5) for number in range(20)]
    doubtful = [driver_of(f"doubtful {number}", 90, 0.1, lag_1=0.1) for number in range(20)]

    def counts(drivers: Drivers, rows: int) -> tuple[int, int]:
        shown = chosen(drivers, rows)
        return sum(not group.doubts for group in shown), sum(bool(group.doubts) for group in shown)

    assert counts(grouped(*sound, *doubtful), 12) == (8, 4)
    assert counts(grouped(*sound, *doubtful[:1]), 12) == (11, 1)
    assert counts(grouped(*sound[:2], *doubtful), 12) == (2, 10)
    assert counts(grouped(*sound[:2], *doubtful[:3]), 12) == (2, 3)
    assert chosen(grouped(*sound, *doubtful), 0) == ()


def test_the_table_is_csv_with_quoted_names() -> None:
    drivers = grouped(driver_of("Industry, manufacturing - Germany", 93.2, -0.456, lag_2=-0.5), driver_of("B"))

    assert table(drivers.groups).splitlines() == [
        "name,importance,direction,lag,correlation,series,doubt",
        '"Industry, manufacturing - Germany",93,-0.46,2,-0.50,1,',
        '"B",,,,,1,name only',
    ]


def test_groups_are_plain_data() -> None:
    (group,) = grouped(driver_of("A", 50, 0.5, lag_1=0.5)).groups

    assert json.dumps([group.name, group.importance, group.lag]) == '["A", 50, 1]'
