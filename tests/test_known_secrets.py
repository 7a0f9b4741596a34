"""What a process was told to keep secret is kept out of everything it says."""

import logging
import sys
from uuid import uuid4

import pytest

from sybilion_mcp.known_secrets import keep_secret
from sybilion_mcp.outside import quoted
from sybilion_mcp.secret_text import HIDDEN


def new_secret() -> str:
    return f"session-{uuid4()}"


def test_one_call_keeps_a_secret_out_of_answers_logs_and_stderr(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = new_secret()
    assert secret in quoted(secret)

    keep_secret([secret])

    sys.stderr.write(f"written {secret}\n")
    logging.getLogger("careless").warning("logged %s", secret)
    told = capsys.readouterr().err + caplog.text + quoted(f"Sales {secret}")
    assert "written" in told
    assert "logged" in told
    assert told.count(HIDDEN) >= 2
    assert secret not in told


def test_what_is_told_later_is_added_and_stderr_is_wrapped_once(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = [new_secret(), new_secret()]
    keep_secret(secrets[:1])
    wrapped = sys.stderr

    keep_secret(secrets[1:])

    assert sys.stderr is wrapped
    sys.stderr.write(" ".join(secrets) + "\n")
    assert capsys.readouterr().err == f"{HIDDEN} {HIDDEN}\n"
