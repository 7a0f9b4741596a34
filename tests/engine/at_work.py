"""What the engine's tests let a worker do instead of a forecast. Light, because every fresh worker imports it."""

import os
import re
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Client
from pathlib import Path

from sybilion_mcp.engine.candidate import Candidate


def report(request: str, candidates: tuple[Candidate, ...] = ()) -> dict[str, bytes]:
    """Tell the test, on the port that the request names, this process's id; end with what the test answers."""
    with Client(("127.0.0.1", int(request))) as test:
        test.send(os.getpid())
        return {"answer": test.recv_bytes()}


def report_hindcast(values: Sequence[float], port: int, *_: object) -> object:
    """As `report`; the horizon is the port."""
    with Client(("127.0.0.1", port)) as test:
        test.send(os.getpid())
        return test.recv()


def unspeakable(*_: object) -> object:
    """Something that no pickle carries."""
    return threading.Event()


def echo(request: str, candidates: tuple[Candidate, ...] = ()) -> dict[str, bytes]:
    return {"request": request.encode(), "candidates": ",".join(one.name for one in candidates).encode()}


def fall_silent(request: str, candidates: tuple[Candidate, ...] = ()) -> dict[str, bytes]:
    """Never end, and let no other thread of this process run either."""
    re.match(r"(a+)+$", "a" * 60 + "b")
    return {}


def end_process(request: str, candidates: tuple[Candidate, ...] = ()) -> dict[str, bytes]:
    raise SystemExit(request)


def be_signalled() -> str:
    """Send this process the signals that a group of processes gets when its leader is to end."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    return "still here"


def wait_for_ever(*_: object) -> None:
    threading.Event().wait()


def look_around() -> dict[str, str]:
    """Where a worker's stdin and stdout lead, and how many threads numpy's library may take."""
    return {
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "stdout": str(Path("/proc/self/fd/1").readlink()),
        "stderr": str(Path("/proc/self/fd/2").readlink()),
        "threads": os.environ["OPENBLAS_NUM_THREADS"],
    }
