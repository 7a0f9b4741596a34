"""Validate: raw numbers in, everything that is wrong with them out, at once and before anything costs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.rules import check_request
from sybilion_mcp.contract.series_rules import MONTHS_NEEDED, allowed_horizons
from sybilion_mcp.engine.measured import Hindcast, NotMeasured
from sybilion_mcp.intake.profile import Profile, profile
from sybilion_mcp.intake.series import Aggregate, Fill, Monthly, Point, points_of, to_monthly
from sybilion_mcp.service.arguments import Options, argument_of, fixes, to_body
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.files import read_bytes
from sybilion_mcp.service.triage import Triage, origins_to_measure, triage
from sybilion_mcp.store.records import StoredSeries


@dataclass(frozen=True, slots=True)
class FileSource:
    file: str
    date_column: str | None = None
    value_column: str | None = None
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """`series_id` is None while the numbers themselves have errors; `profile` is of the months that were measured."""

    valid: bool
    series_id: str | None
    problems: tuple[Problem, ...]
    profile: Profile | None
    allowed_horizons: tuple[int, ...]
    triage: Triage | None


async def validate(
    desk: Desk,
    source: Mapping[str, object] | FileSource,
    *,
    aggregate: Aggregate = "none",
    fill: Fill = "none",
    options: Options,
) -> Validation:
    """Check a series and the options of a later submit. Remembers the series when its numbers are sound.

    Raises `Refusal` when a file cannot be read.
    """
    points, apart = await _points(desk, source)
    monthly = to_monthly(points, aggregate, fill, desk.today(), apart)
    asked = _asked(monthly, options)
    problems = (*monthly.problems, *_option_problems(desk, monthly, asked))
    sound = bool(monthly.points) and not any(one.severity == "error" for one in monthly.problems)
    series_id = await remember(desk, monthly.points, _without_errors(options, problems)) if sound else None
    return Validation(
        valid=not any(one.severity == "error" for one in problems),
        series_id=series_id,
        problems=problems,
        profile=profile(monthly.measured) if monthly.measured else None,
        allowed_horizons=allowed_horizons(monthly.points),
        triage=await _triage(desk, monthly.points, asked.given() | fixes(problems)) if sound else None,
    )


def _without_errors(options: Options, problems: Sequence[Problem]) -> Options:
    """What is worth remembering with a series: the options that no rule refuses."""
    refused = {argument_of(one.field).partition("[")[0] for one in problems if one.severity == "error"}
    return replace(options, **dict.fromkeys(refused.intersection(Options.__slots__)))


def series_id_of(points: Mapping[str, float]) -> str:
    content = json.dumps(dict(points), separators=(",", ":")).encode()
    return f"s_{hashlib.sha256(content).hexdigest()[:12]}"


async def remember(desk: Desk, points: Mapping[str, float], options: Options) -> str:
    """Keep a sound series under the hash of its content."""
    series_id = series_id_of(points)
    await desk.store.put_series(
        StoredSeries(
            series_id,
            points,
            title=options.title,
            description=options.description,
            keywords=options.keywords,
            strictly_positive=options.strictly_positive,
        )
    )
    return series_id


async def _points(desk: Desk, source: Mapping[str, object] | FileSource) -> tuple[list[Point], str]:
    """With the points, the columns that tell those of one date apart."""
    if not isinstance(source, FileSource):
        return points_of(source), ""
    from sybilion_mcp.intake.columns import read_points

    def points() -> tuple[list[Point], str]:
        path = desk.folders.readable(source.file)
        return read_points(path.name, read_bytes(path), source.date_column, source.value_column, source.sheet)

    return await anyio.to_thread.run_sync(points)


def _asked(monthly: Monthly, options: Options) -> Options:
    """The options as a submit would send them; without a horizon, the longest that is allowed."""
    silent = options.soft_horizon is None and options.hard_horizon is None
    longest = max(allowed_horizons(monthly.points), default=min(MONTHS_NEEDED))
    return replace(
        options,
        soft_horizon=longest if silent else options.soft_horizon,
        recency_factor=DEFAULT_RECENCY_FACTOR,
    )


def _option_problems(desk: Desk, monthly: Monthly, asked: Options) -> list[Problem]:
    """What the submit rules say about the options and the length, for the series as it is after its fixes."""
    body = to_body(monthly.points, asked)
    problems = [one for one in check_request(body, desk.today()) if one.code != "empty_series"]
    # A driver series needs no title, so its absence is no error yet.
    return [replace(one, severity="warning") if one.code == "title_missing" else one for one in problems]


async def _triage(desk: Desk, points: Mapping[str, float], repaired: Mapping[str, object]) -> Triage:
    """`repaired` are the options once the offered fixes are made."""
    horizon = repaired.get("soft_horizon") or repaired["hard_horizon"]  # where the ladder starts
    assert isinstance(horizon, int)
    origins = origins_to_measure(points, horizon)
    positive = repaired.get("strictly_positive") is True
    engine = await _hindcast(desk, points, horizon, origins, positive) if origins else None
    return triage(points, horizon, engine)


async def _hindcast(
    desk: Desk, points: Mapping[str, float], horizon: int, origins: Sequence[int], strictly_positive: bool
) -> Hindcast | NotMeasured:
    engine = desk.engine
    if engine is None:
        return NotMeasured("it is not installed")
    values = [points[month] for month in sorted(points)]
    return await engine.hindcast(values, horizon, origins, strictly_positive=strictly_positive)
