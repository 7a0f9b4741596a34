"""Logs and streams say everything but secrets, and keep their shape."""

import io
import json
import logging
from urllib.parse import quote

import pytest

from sybilion_mcp.secret_output import HidingFilter, HidingStream
from sybilion_mcp.secret_text import HIDDEN, Secrets
from tests.canaries import OTHER, TOKEN, Disguise, tells


def test_what_is_logged_keeps_its_shape() -> None:
    hiding = HidingFilter(Secrets([OTHER]).hide)
    record = logging.LogRecord("x", logging.DEBUG, "", 1, "a %s b %s", (f"<{OTHER}>", TOKEN), None)

    assert hiding.filter(record)
    assert logging.Formatter().format(record) == f"a <{HIDDEN}> b {HIDDEN}"


@pytest.mark.parametrize("disguise", [str, quote, json.dumps, repr])
def test_a_logged_exception_is_told_without_secrets(disguise: Disguise) -> None:
    """Its notes, its group, its causes; arguments that do not fit; what was formatted before."""
    hiding, said = HidingFilter(Secrets([OTHER]).hide), disguise(OTHER)
    error = ValueError(f"a\n{said}\nb")
    error.add_note(said)
    error.__cause__ = ExceptionGroup(said, [KeyError(said), OSError(2, said, said)])
    broken: list[tuple[str, tuple[object, ...]]] = [("%s", (error,)), ("%d", (said,)), (f"{said} %s %s", (1,))]
    for message, arguments in broken:
        record = logging.LogRecord("x", 10, "", 1, message, arguments, (ValueError, error, None), sinfo=said)
        assert hiding.filter(record)
        told = logging.Formatter().format(record)
        assert not tells(told, OTHER)
        assert "ValueError" in told
    record = logging.LogRecord("x", 10, "", 1, "%s", (Untellable(),), None)
    assert hiding.filter(record)
    assert record.getMessage() == "%s"


class Untellable:
    def __str__(self) -> str:
        raise RuntimeError(OTHER)


def test_a_stream_hides_what_is_written_in_parts() -> None:
    beneath = io.StringIO()
    stream = HidingStream(beneath, Secrets([OTHER]).hide)

    stream.writelines(["a ", OTHER[:9], OTHER[9:], " b\nc ", f"{TOKEN}\n", "d"])
    stream.flush()

    assert beneath.getvalue() == f"a {HIDDEN} b\nc {HIDDEN}\nd"
