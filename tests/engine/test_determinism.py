"""The same request, the same bytes: again, in another process, in another order."""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.pipeline import run_pipeline
from sybilion_mcp.engine.worker import run_job

from .made_up import candidate, driven, request

Job = tuple[dict[str, object], tuple[Candidate, ...]]


@pytest.fixture(scope="module")
def job() -> Job:
    """A driven one with everything."""
    target, aux, _ = driven(4, 3, decoys=2, count=62)
    folder = tuple(candidate(f"s{number}", one) for number, one in enumerate(aux[1:]))
    return request(target, aux_timeseries=aux[:1], backtest=True, run_baseline=True), folder


@pytest.fixture(scope="module")
def answer(job: Job) -> dict[str, bytes]:
    found = run_pipeline(*job)
    assert json.loads(found["external_signals.json"])["data"] != {}
    return found


def test_again_after_something_else(job: Job, answer: dict[str, bytes]) -> None:
    run_pipeline(request([0.0] * 59 + [9.0], backtest=True))

    assert run_pipeline(*job) == answer


def test_in_another_process_with_other_hashes(
    job: Job, answer: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    body, folder = job
    monkeypatch.setenv("PYTHONHASHSEED", "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2")

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(run_job, json.dumps(body), folder).result()

    assert found == answer


def test_in_another_order_of_the_months(job: Job, answer: dict[str, bytes]) -> None:
    body, folder = job
    backwards = {
        **body,
        "timeseries": dict(reversed(body["timeseries"].items())),
        "aux_timeseries": [dict(reversed(one.items())) for one in body["aux_timeseries"]],
    }

    found = run_pipeline(dict(reversed(backwards.items())), folder)

    assert {**found, "input.json": b""} == {**answer, "input.json": b""}  # input.json repeats what was sent
