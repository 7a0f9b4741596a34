"""What is told of a request while it is answered: spans, and the log with the ids of the trace."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from mcp import Client
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, use_span

from sybilion_mcp import tracing
from sybilion_mcp.logs import JsonLines
from sybilion_mcp.tracing import trace_ids
from tests.conftest import good_series

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product"


class Recorded(NonRecordingSpan):
    def __init__(self, name: str, parent: Span, attributes: Mapping[str, Any]) -> None:
        super().__init__(SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1)))
        self.name, self.parent, self.attributes = name, parent, dict(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value


class Recorder:
    """A tracer that keeps what it is told."""

    def __init__(self) -> None:
        self.spans: list[Recorded] = []

    @contextmanager
    def start_as_current_span(self, name: str, *, attributes: Mapping[str, Any], **_: Any) -> Iterator[Recorded]:
        one = Recorded(name, trace.get_current_span(), attributes)
        self.spans.append(one)
        with use_span(one):
            yield one


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(tracing, "_TRACER", recorder)
    return recorder


async def test_every_request_to_a_backend_is_a_span_without_content(client: Client, recorder: Recorder) -> None:
    said = {"series": good_series(), "title": TITLE, "soft_horizon": 3, "backtest": False}
    job = await client.call_tool("submit_forecast", said)
    job_id = (job.structured_content or {})["job_id"]
    await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 45})

    names = {one.name for one in recorder.spans}
    assert {"local submit", "local job", "local artifact", "engine job"} <= names
    [submit] = [one for one in recorder.spans if one.name == "local submit"]
    trace_id = submit.attributes.pop("sybilion.trace_id")
    assert len(str(trace_id)) == 32
    [worked] = [one for one in recorder.spans if one.name == "engine job"]
    assert (worked.parent, worked.attributes) == (submit, {"sybilion.job_id": job_id})
    assert submit.attributes == {
        "sybilion.backend": "local",
        "sybilion.operation": "submit",
        "http.request.method": "POST",
        "http.response.status_code": 202,
    }


async def test_a_failure_is_told_by_its_kind(client: Client, recorder: Recorder) -> None:
    job_id = "00000000-0000-4000-8000-000000000000"
    await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 0})

    [looked] = recorder.spans
    assert looked.attributes["error.type"] == "AnswerError"
    assert looked.attributes["http.response.status_code"] == 404


def test_a_line_of_the_log_is_one_object_with_the_ids_of_its_trace() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "", 1, "said %r\n", ("x\ny",), None)
    assert trace_ids() == {}
    assert "trace_id" not in JsonLines().format(record)
    with use_span(NonRecordingSpan(SpanContext(255, 16, is_remote=True))):
        line = JsonLines().format(record)

    told = json.loads(line)
    assert "\n" not in line
    assert told["message"] == "said 'x\\ny'\n"
    assert (told["level"], told["logger"]) == ("WARNING", "a.b")
    assert told["trace_id"] == f"{255:032x}"
    assert told["span_id"] == f"{16:016x}"


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "failed", (), (ValueError, error, error.__traceback__))

    told = json.loads(JsonLines().format(record))
    assert told["exception"].endswith("ValueError: wrong")
