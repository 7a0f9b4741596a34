"""The report on artifacts in a folder, compared with the job folders that lie beside it."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.explain.facts import JobFacts, Report
from sybilion_mcp.explain.report import build_report, render_report, report_data
from sybilion_mcp.explain.results import REQUESTS, Results, Unread, history_of, read_results
from sybilion_mcp.explain.told import Told
from sybilion_mcp.service import eomer_folders
from sybilion_mcp.service.reading import MOST_BYTES, MOST_BYTES_OF_OTHERS, REPORTED, decoded, facts_of, too_large
from sybilion_mcp.service.related import READ, states_of_one_series

BESIDE = 50
"""Job folders beside the reported one whose series is looked at, by name."""
_ENTRIES = 1000  # of the folder above that are listed
_FILES = (*REPORTED, "submit_payload.json", "status.json")

_log = logging.getLogger(__name__)


def told_of_folder(folder: Path, today: date) -> Told:
    """The report on a folder of either service, Eomer's where it holds that one's forecast. Raises as below."""
    if not (folder / "forecast.json").exists() and (folder / eomer_folders.FORECAST).exists():
        return eomer_folders.told_of_folder(folder, today)
    report = report_of_folder(folder, today)
    return Told(render_report(report), report_data(report), report.next_step)


def report_of_folder(folder: Path, today: date) -> Report:
    """The report on artifacts that lie in a folder, with status.json and submit_payload.json where they are there.

    Job folders beside it on the same series, or on an earlier or later state of it, are compared with. Raises
    `ArtifactError` when the folder holds no readable forecast.json, `OSError` when its files cannot be read.
    """
    artifacts = {name: _file(folder / name) for name in _FILES if (folder / name).exists()}
    facts = _facts(folder, artifacts)
    return build_report(artifacts, facts, today, _others(folder, facts.job_id, history_of(artifacts, {})))


def _file(path: Path) -> object:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return Unread("it is no file")
    return decoded(path.read_bytes()) if status.st_size <= MOST_BYTES else too_large(status.st_size)


def _facts(folder: Path, artifacts: dict[str, object]) -> JobFacts:
    """What is known of the job; a status.json that is none is left out and said to be."""
    job = Job.model_construct(job_id=folder.resolve().name, status="completed", settled=True)
    status = artifacts.get("status.json")
    if status is not None and not isinstance(status, Unread):
        try:
            job = Job.model_validate(status)
        except ValidationError:
            artifacts["status.json"] = Unread("it is no job of the API")
    request = next((one for name in reversed(REQUESTS) if isinstance(one := artifacts.get(name), Mapping)), None)
    backend = "local" if _is_embedded(artifacts.get("forecast.json")) else "sybilion"
    return facts_of(job, backend, None, request)


def _is_embedded(forecast: object) -> bool:
    """Only the embedded engine says how it made a forecast."""
    data = forecast.get("data") if isinstance(forecast, dict) else None
    return isinstance(data, dict) and "pipeline_info" in data


def _others(folder: Path, job_id: str, history: Mapping[str, float]) -> list[Results]:
    """The results in job folders beside this one on states of its series, those settled last first."""
    alike: list[tuple[str, Path]] = []
    for beside in _beside(folder) if history else ():
        known = _small_files(beside, (*REQUESTS, "status.json"))
        facts = _facts(beside, known)
        if facts.job_id != job_id and states_of_one_series(history_of(known, {}), history):  # a copy says nothing new
            alike.append((facts.settled_at or "", beside))
    newest = [beside for _, beside in sorted(alike, reverse=True)]
    return list(islice(_readable(newest), READ))


def _readable(folders: Iterable[Path]) -> Iterator[Results]:
    for folder in folders:
        artifacts = _small_files(folder, _FILES)
        try:
            yield read_results(artifacts, _facts(folder, artifacts))
        except (ValueError, ArithmeticError, RecursionError) as error:  # whatever it holds
            _log.warning("the folder %r is left out of a comparison: %s", folder.name, error)


def _beside(folder: Path) -> Sequence[Path]:
    """The job folders that lie beside this one, by name; links are not followed."""
    own = folder.resolve()
    try:
        with os.scandir(own.parent) as entries:
            inside = (Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
            folders = list(islice(inside, _ENTRIES))
    except OSError as error:
        _log.warning("what lies beside the folder is not compared: %s", error.strerror)
        return ()
    jobs = (one for one in sorted(folders) if one != own and _fits(one / "forecast.json"))
    return tuple(islice(jobs, BESIDE))


def _small_files(folder: Path, names: Iterable[str]) -> dict[str, object]:
    contents = ((name, _small_file(folder / name)) for name in names)
    return {name: decoded(content) for name, content in contents if content is not None}


def _fits(path: Path) -> bool:
    """Whether a file is there, no link, and not too large to be compared with."""
    try:
        status = path.lstat()
    except OSError:  # missing, or not ours to read
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES_OF_OTHERS


def _small_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if _fits(path) else None
    except OSError:  # not ours to read: not to be compared with
        return None
