"""Eomer's jobs and explanations: whatever comes is read, and nothing of it is lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sybilion_mcp.contract.eomer import EomerJob, Explainability, decoded

EVERY: dict[str, Any] = {
    "job_id": "j-1",
    "status": "completed",
    "created_at": "2026-11-01T10:00:00Z",
    "completed_at": "2026-11-01T10:00:42Z",
    "elapsed_seconds": 42.5,
    "num_items": 3,
    "prediction_length": 24,
    "error": None,
    "error_code": None,
    "download_url": "/jobs/j-1/download",
    "report_url": "https://api.test/jobs/j-1/report.html",
    "external_covariate_metadata": {"weather": {"station": "x"}},
    "explainability": {
        "enabled": True,
        "overview_markdown": "Demand **rises**.",
        "selected_analyses": ["shap", "trend"],
        "completed_analyses": ["trend"],
        "skipped_analyses": {"shap": "no covariates"},
        "warnings": ["short history"],
        "artifacts": [
            {"artifact_id": "late", "display_order": 9, "format": "png", "download_url": "/a/late.png"},
            {"artifact_id": "nowhere", "format": "csv"},
            {
                "artifact_id": "first",
                "analysis": "trend",
                "label": "Trend",
                "format": "csv",
                "output_path": "out/first.csv",
                "download_url": "/a/first.csv",
                "embed_url": "/e/first",
                "description": "d",
                "render_inline": True,
                "preview_markdown": "| a |",
                "highlights": ["up"],
                "display_order": 1,
                "is_primary_visual": True,
                "is_thumbnail": False,
                "new_in_2027": {"deep": [1]},
            },
        ],
        "summary_path": "out/summary.md",
        "confidence": 0.5,
    },
    "explainability_url": "/jobs/j-1/explainability.json",
    "forecast_plot_url": "/jobs/j-1/plot.png",
    "request_id": "r-1",
    "config_hash": "c",
    "dataset_hash": "d",
    "model_version": "chronos-1",
    "delivery_status": "delivered",
    "delivery_connection_id": "k",
    "delivery_uri": "s3://b/k",
    "delivery_error": None,
    "carbon_grams": 12,
}


def read(document: object) -> EomerJob:
    return EomerJob.model_validate_json(json.dumps(document))


def test_a_job_with_every_field_is_read_without_loss() -> None:
    job = read(EVERY)

    dumped = job.model_dump()
    assert {name: dumped[name] for name in EVERY if name != "explainability"} == {
        name: value for name, value in EVERY.items() if name != "explainability"
    }
    assert job.extra == {"carbon_grams": 12}
    told = job.explainability
    assert told is not None
    assert told.extra == {"confidence": 0.5}
    assert [one.artifact_id for one in told.artifacts] == ["first", "late", "nowhere"]
    assert told.artifacts[0].extra == {"new_in_2027": {"deep": [1]}}
    assert told.artifacts[0].model_dump() == EVERY["explainability"]["artifacts"][2]
    assert told.skipped_analyses == {"shap": "no covariates"}


def test_a_job_with_only_what_is_required_is_read() -> None:
    job = read({"job_id": "j", "status": "pending", "created_at": "2026-11-01T10:00:00Z"})

    assert (job.common_status, job.finished, job.explainability, job.files) == ("queued", False, None, ())
    assert job.created is not None


@pytest.mark.parametrize(
    ("status", "common", "finished"),
    [
        ("pending", "queued", False),
        ("running", "running", False),
        ("completed", "completed", True),
        ("failed", "failed", True),
        ("hibernating", "hibernating", False),
    ],
)
def test_states_become_the_common_ones(status: str, common: str, finished: bool) -> None:
    job = read({"job_id": "j", "status": status}).common

    assert (job.status, job.settled) == (common, finished)
    assert job.eur_cents_final is None


def test_a_failed_job_says_why_in_the_common_words() -> None:
    job = read({"job_id": "j", "status": "failed", "error": "no", "error_code": "never_heard_of"}).common

    assert job.pipeline_error is not None
    assert (job.pipeline_error.code, job.pipeline_error.detail) == ("never_heard_of", "no")
    assert job.finished


def test_the_files_of_a_job_have_names_of_their_own_in_the_order_of_display() -> None:
    files = read(EVERY).files

    assert [one.name for one in files] == [
        "forecast.csv", "job.json", "explainability.json", "report", "forecast_plot", "first.csv", "late.png",
    ]  # fmt: skip
    assert files[-1].media_type == "image/png"
    assert files[-1].artifact is not None


def test_two_files_of_one_name_are_told_apart() -> None:
    one = {"artifact_id": "forecast.csv", "format": "csv", "download_url": "/x"}
    job = read(
        {"job_id": "j", "status": "completed", "explainability": {"artifacts": [one, one, {**one, "format": 3}]}}
    )

    names = [file.name for file in job.files]

    assert names == ["forecast.csv", "job.json", "forecast-2.csv", "forecast-3.csv", "forecast-4.csv"]


@pytest.mark.parametrize("artifact_id", ["../../etc/passwd", "a/b\\c", "x\n\u202ey", "", "🎉"])
def test_a_name_is_made_of_what_names_are_made_of(artifact_id: str) -> None:
    one = {"artifact_id": artifact_id, "format": "c/sv", "download_url": "/x"}
    job = read({"job_id": "j", "status": "completed", "explainability": {"artifacts": [one]}})

    name = job.files[-1].name

    assert name.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert name.isascii()
    assert not name.startswith("/")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional={name: json_values for name in EVERY if name not in ("job_id", "status")}))
def test_whatever_the_other_fields_are_the_job_is_read(fields: dict[str, Any]) -> None:
    job = read({**fields, "job_id": "j", "status": "completed", "unheard_of": fields})

    assert job.common.job_id == "j"
    assert job.extra["unheard_of"] == fields
    assert job.files[0].name == "forecast.csv"


@given(json_values)
def test_whatever_an_explanation_is_it_is_read_or_absent(payload: object) -> None:
    job = read({"job_id": "j", "status": "completed", "explainability": payload})

    assert (job.explainability is not None) == isinstance(payload, dict)


artifacts = st.lists(
    st.fixed_dictionaries({"artifact_id": st.text(max_size=5)}, optional={"display_order": st.integers() | st.none()})
    | json_values,
    max_size=8,
)


@given(artifacts)
def test_artifacts_are_sorted_and_those_without_an_order_come_last(given_artifacts: list[object]) -> None:
    told = Explainability.model_validate({"artifacts": given_artifacts})

    orders = [one.display_order for one in told.artifacts]
    known = [order for order in orders if order is not None]
    assert known == sorted(known)
    assert orders[len(known) :] == [None] * (len(orders) - len(known))
    assert len(orders) == sum(isinstance(one, dict) for one in given_artifacts)


@pytest.mark.parametrize("job_id", [None, 7, "", "a/b", "x" * 200])
def test_an_id_that_is_none_is_no_job(job_id: object) -> None:
    with pytest.raises(ValidationError):
        read({"job_id": job_id, "status": "pending"})


@pytest.mark.parametrize("artifact_id", ["..", ".", "...", "..png", "../..", ".hidden"])
def test_no_file_is_named_by_dots(artifact_id: str) -> None:
    artifact = {"artifact_id": artifact_id, "download_url": "/f/1"}

    job = read({"job_id": "j", "status": "completed", "explainability": {"artifacts": [artifact]}})

    name = job.files[-1].name
    assert name in ("artifact", "png", "hidden")


def test_half_a_surrogate_pair_leaves_the_rest_of_the_job_readable() -> None:
    told = {"overview_markdown": "It rises \ud83d today", "skipped_analyses": {"a\udc00": "b"}, "artifacts": []}
    content = json.dumps({"job_id": "j", "status": "completed", "explainability": told}).encode()

    job = decoded(EomerJob, content)

    assert job.explainability is not None
    assert job.explainability.overview_markdown == "It rises ? today"
    assert job.explainability.skipped_analyses == {"a?": "b"}


@pytest.mark.parametrize(
    "content", [b'{"job_id": "\\ud800"', b'["\\ud800"]', b'"\\ud800' + b"[" * 99_999, b"[" * 99_999]
)
def test_what_is_no_job_is_none_with_half_a_pair_either(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"EomerJob|delimiter|deeply|char"):
        decoded(EomerJob, content)
