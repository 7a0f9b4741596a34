"""The rules of a request for drivers: all at once for a caller, one for the API."""

from sybilion_mcp.contract.driver_request import check_driver_request, first_driver_problem

TITLE = "Copper price in Germany, EUR per tonne"


def asking(**changes: object) -> dict[str, object]:
    return {"version": "v1", "timeseries_metadata": {"title": TITLE}, **changes}


def test_a_sound_request_has_no_problem() -> None:
    full = asking(
        recency_factor=0.0,
        timeseries_metadata={"title": TITLE, "description": "LME", "keywords": ["copper"]},
        filters={"regions": [1], "categories": [9999], "limit": 1000, "general_drivers": True},
        timeseries={"2026-01-14": 1.0, "2026-01-15": 2.0, "2024-02-29": -1e308},
        unknown="ignored",
    )

    for body in (asking(), asking(recency_factor=None, filters=None, timeseries=None), full):
        assert check_driver_request(body) == []
        assert first_driver_problem(body) is None


def test_every_problem_is_told_and_the_first_is_the_apis() -> None:
    body = asking(
        version="v2",
        recency_factor=2,
        timeseries_metadata={"title": "x" * 600, "keywords": ["", "y" * 300]},
        filters={"regions": [0, 5], "limit": 2000},
        timeseries={"2026-1-1": 1.0},
    )

    problems = check_driver_request(body)

    assert [one.code for one in problems] == [
        "unsupported_version",
        "recency_factor_out_of_range",
        "title_too_long",
        "keyword_empty",
        "keyword_too_long",
        "bad_date",
        "filter_id_out_of_range",
        "driver_limit_out_of_range",
    ]
    assert first_driver_problem(body) == problems[0]
    assert {one.fix.field: one.fix.value for one in problems if one.fix} == {
        "recency_factor": 1.0,
        "timeseries_metadata.title": "x" * 511,
        "timeseries_metadata.keywords": ["y" * 255],
        "filters.regions": [5],
        "filters.limit": 1000,
    }


def test_a_limit_below_none_is_not_turned_into_none() -> None:
    (problem,) = check_driver_request(asking(filters={"limit": -1}))

    assert (problem.code, problem.fix) == ("driver_limit_out_of_range", None)


def test_a_wrong_type_is_400_and_silences_the_rules_of_its_field() -> None:
    problems = check_driver_request(asking(version=1, timeseries_metadata={"title": None, "keywords": "copper"}))

    assert [(one.code, one.field, one.status) for one in problems] == [
        ("wrong_type", "version", 400),
        ("wrong_type", "timeseries_metadata.keywords", 400),
    ]


def test_a_body_over_2_mib_is_413() -> None:
    problem = first_driver_problem(asking(padding="x" * (2 * 1024 * 1024)))

    assert problem is not None
    assert problem.status == 413
