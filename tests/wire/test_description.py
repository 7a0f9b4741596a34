"""The printed description of the API: complete, sound, and true of what the sandbox answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.description import description
from sybilion_mcp.engine.terms import Terms
from tests.conftest import TODAY
from tests.engine.conftest import client_of
from tests.wire.described import Canned, described_sandbox, run_described

OPERATIONS = {
    ("GET", "/health"): {200, 500, 503},
    ("GET", "/api/v1/me"): {200, 401, 429, 500},
    ("GET", "/api/v1/usage"): {200, 400, 401, 429, 500},
    ("GET", "/api/v1/jobs"): {200, 400, 401, 429, 500},
    ("GET", "/api/v1/regions"): {200, 401, 429, 500},
    ("GET", "/api/v1/categories"): {200, 401, 429, 500},
    ("POST", "/api/v1/drivers"): {200, 400, 401, 402, 408, 413, 422, 429, 500},
    ("POST", "/api/v1/alerts"): {200, 400, 401, 402, 408, 413, 422, 429, 500},
    ("POST", "/api/v1/forecasts"): {202, 400, 401, 402, 408, 413, 422, 429, 500},
    ("GET", "/api/v1/forecasts/{job_id}"): {200, 401, 404, 429, 500},
    ("GET", "/api/v1/forecasts/{job_id}/artifacts/{name}"): {200, 206, 401, 404, 409, 416, 429, 500},
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return description(TODAY)


def operations(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (method.upper(), path), operation


def test_it_tells_every_operation_and_every_status(document: dict[str, Any]) -> None:
    told = {key: {int(status) for status in operation["responses"]} for key, operation in operations(document)}

    assert told == OPERATIONS


def test_the_routes_are_those_that_it_tells(document: dict[str, Any], tmp_path: Path) -> None:
    routes = {
        (method, route.path)  # type: ignore[attr-defined]  # all of them are Routes
        for route in build_app(tmp_path).routes
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]  # as above
    }

    assert routes == {key for key, _ in operations(document)}


def test_every_answer_carries_its_id_and_every_operation_but_health_needs_a_token(document: dict[str, Any]) -> None:
    for key, operation in operations(document):
        assert all(answer["headers"]["x-trace-id"]["required"] for answer in operation["responses"].values())
        assert operation.get("security") == ([] if key[1] == "/health" else None)
    assert document["security"] == [{"bearer": []}]


def test_every_example_is_valid_by_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for _, operation in operations(document):
        contents = [answer.get("content", {}) for answer in operation["responses"].values()]
        for media in [*contents, operation.get("requestBody", {}).get("content", {})]:
            content = media.get("application/json", {})
            for example in content.get("examples", {}).values():
                schema = {**content["schema"], "components": document["components"]}
                Draft202012Validator(schema).validate(example["value"])
                seen += 1
    assert seen >= sum(map(len, OPERATIONS.values()))


@pytest.mark.anyio
async def test_the_examples_are_accepted(document: dict[str, Any], tmp_path: Path) -> None:
    app = build_app(tmp_path, today=lambda: TODAY, executor=Canned(), terms=Terms())
    async with client_of(app) as client:
        for (method, path), operation in operations(document):
            if method == "POST":
                example = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
                answer = await client.post(path, json=example)
                assert answer.is_success, (path, answer.text)
    await app.state.engine.aclose()


def test_it_is_printed_without_the_engine() -> None:
    blocked = "import sys; sys.modules['statsforecast'] = sys.modules['numpy'] = None\n"
    run = f"{blocked}from sybilion_mcp.cli import main; raise SystemExit(main(['sandbox', '--openapi']))"

    printed = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True, timeout=60)

    assert json.loads(printed.stdout)["openapi"] == "3.1.0"


def test_generated_requests_are_answered_as_described(tmp_path: Path) -> None:
    with described_sandbox(tmp_path, Canned()) as url:
        outcome = run_described(url, max_examples=1)

    assert outcome.failures == []
    assert outcome.cases > 500
    assert outcome.answers.keys() == {f"{method} {path}" for method, path in OPERATIONS}
