"""What a process was told to keep secret is kept out of everything it says."""

import json
import logging
import random
import string
import sys
from uuid import uuid4

import pytest

from sybilion_mcp.known_secrets import hide_logged, keep_callers, keep_secret, let_callers_go
from sybilion_mcp.outside import quoted
from sybilion_mcp.secret_text import HIDDEN
from tests.timing import cpu_seconds


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


def test_a_callers_key_is_kept_out_of_the_log_alone(capsys: pytest.CaptureFixture[str]) -> None:
    key = new_secret()
    keep_callers([key])

    sys.stderr.write(f"written {key}\n")

    let_callers_go([key])
    assert capsys.readouterr().err == f"written {HIDDEN}\n"
    assert quoted(f"Sales {key}") == f'"Sales {key}"'
    assert hide_logged(key) == key


def test_a_key_that_two_use_is_kept_until_both_are_gone() -> None:
    key = new_secret()
    keep_callers([key])
    keep_callers([key])

    let_callers_go([key])
    assert hide_logged(key) == HIDDEN

    let_callers_go([key])
    assert hide_logged(key) == key


@pytest.mark.parametrize("key", ["back\\slash-" * 2, "quo\"te's-" * 2, "plain-" * 40])
def test_a_callers_key_is_found_as_logs_write_it(key: str) -> None:
    longer = key + "-and-more"
    keep_callers([key, longer])

    told = hide_logged(f"{key} {longer} {key!r} {[key.encode()]} {json.dumps(longer)}")

    let_callers_go([key, longer])
    quote = repr(key)[0]
    hidden = f"{quote}{HIDDEN}{quote}"
    assert told == f'{HIDDEN} {HIDDEN} {hidden} [b{hidden}] "{HIDDEN}"'


def test_long_keys_of_many_callers_cost_next_to_nothing() -> None:
    keys = ["".join(chance.choices(string.punctuation, k=256)) for chance in map(random.Random, range(256))]
    keep_callers(keys)
    taken = cpu_seconds(lambda: hide_logged("a line with one \\ in it" * 100))
    taken += cpu_seconds(lambda: let_callers_go(keys))

    assert taken < 1
