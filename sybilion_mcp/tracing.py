"""Spans around what takes time elsewhere, and the id that ties log lines to the request they belong to.

Nothing is recorded unless the program that runs the server sets OpenTelemetry up.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span, get_tracer

from sybilion_mcp.outside import identifier

if TYPE_CHECKING:  # the embedded engine needs no protocol
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

_log = logging.getLogger(__name__)
_TRACER = get_tracer("sybilion-mcp")
_REQUEST: ContextVar[str] = ContextVar("request_trace_id")


@contextmanager
def span(name: str, attributes: Mapping[str, str], kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A span whose end by an exception is told by the exception's kind alone: its text may hold content."""
    with _TRACER.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as one:
        try:
            yield one
        except BaseException as error:  # a cancellation is an end too
            one.set_attribute("error.type", type(error).__name__)
            one.set_status(StatusCode.ERROR)
            raise


class Call:
    """One request to a backend, as far as it is told: never what was sent or answered."""

    def __init__(self, own: Span) -> None:
        self._span = own
        self.status: int | None = None
        self.trace_id = ""

    def answered(self, status: int, trace_id: str | None) -> None:
        """`trace_id` is the backend's own; only what ids are made of is taken over."""
        self.status, self.trace_id = status, identifier(trace_id or "")
        self._span.set_attribute("http.response.status_code", status)
        if self.trace_id:
            self._span.set_attribute("sybilion.trace_id", self.trace_id)


@contextmanager
def upstream(backend: str, operation: str, method: str) -> Iterator[Call]:
    """A request to a backend, until its answer has been read."""
    began = monotonic()
    attributes = {"sybilion.backend": backend, "sybilion.operation": operation, "http.request.method": method}
    with span(f"{backend} {operation}", attributes, SpanKind.CLIENT) as own:
        call = Call(own)
        try:
            yield call
        finally:
            told = (backend, operation, call.status or "no answer", monotonic() - began, call.trace_id or "-")
            _log.info("%s %s: %s in %.2f s, its trace %s", *told)


async def traced(ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
    """Tie log lines to the caller's trace where no trace is recorded here, and to the request where none was sent."""
    sent = ctx.meta.get("traceparent") if ctx.meta else None
    known = get_current_span(extract({"traceparent": sent})).get_span_context() if isinstance(sent, str) else None
    before = _REQUEST.set(f"{known.trace_id:032x}" if known and known.is_valid else os.urandom(16).hex())
    try:
        return await call_next(ctx)
    finally:
        _REQUEST.reset(before)


def trace_ids() -> dict[str, str]:
    """Of the span that is open, be it the caller's; otherwise of the request alone; empty outside of one."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    own = _REQUEST.get(None)
    return {} if own is None else {"trace_id": own}
