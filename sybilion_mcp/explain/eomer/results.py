"""Everything that the files of a job of Eomer say, read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sybilion_mcp.contract.artifacts import ArtifactError, Window
from sybilion_mcp.contract.eomer import EomerJob, Explainability, JobFile, decoded
from sybilion_mcp.contract.eomer_files import DOCUMENT, EXPLANATION, FORECAST, HINDCAST
from sybilion_mcp.contract.eomer_hindcast import read_hindcast
from sybilion_mcp.contract.eomer_table import ForecastTable, read_forecast_table
from sybilion_mcp.explain.eomer.periods import Panel, Periods, periods_of
from sybilion_mcp.explain.eomer.wording import shown_id
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.results import Unread

READ = (FORECAST, DOCUMENT, EXPLANATION, HINDCAST)
"""The files that a report is made of."""
_LONGEST_PLACE = 8


class UnknownSeries(ValueError):
    """A series was asked for that the job does not have, or that several of its series may be."""


@dataclass(frozen=True, slots=True)
class Results:
    """`windows`: item id → past forecasts, None without a hindcast; `panel` is None where the series are not at hand.

    `unreadable` maps the name of a file that could not be read to a sentence on why.
    """

    facts: JobFacts
    table: ForecastTable
    periods: Periods
    panel: Panel | None
    job: EomerJob | None
    explanation: Explainability | None
    windows: Mapping[str, Sequence[Window]] | None
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        return len(self.table.series) == 1

    @property
    def files(self) -> tuple[JobFile, ...]:
        return self.job.files if self.job else ()

    def history(self, item_id: str) -> Mapping[str, float]:
        """Label → value, empty where the series is not at hand."""
        points = self.panel.of(item_id, alone=self.alone) if self.panel else {}
        return self.periods.history(points)

    def past(self, item_id: str) -> Sequence[Window]:
        """The past forecasts of one series."""
        windows = self.windows or {}
        if self.alone and len(windows) == 1:
            return next(iter(windows.values()))
        return windows.get(item_id, ())


def read_results(files: Mapping[str, bytes | Unread], facts: JobFacts, panel: Panel | None) -> Results:
    """`files` are those of `READ` that are there. Only the forecast is needed; raises `ArtifactError` without it."""
    forecast = files.get(FORECAST)
    if not isinstance(forecast, bytes):
        why = forecast.why if isinstance(forecast, Unread) else "missing, so there is no forecast to report"
        raise ArtifactError(f"{FORECAST}: {why}")
    target = facts.request.get("target_column")
    table = read_forecast_table(forecast, target_column=target if isinstance(target, str) else None)
    left_out = {name: given.why for name, given in files.items() if isinstance(given, Unread)}
    job = _document(files.get(DOCUMENT), left_out)
    return Results(
        facts=facts,
        table=table,
        periods=periods_of(table, panel),
        panel=panel and Panel({item_id.strip(): one for item_id, one in panel.series.items()}, panel.frequency),
        job=job,
        explanation=_explanation(job, files.get(EXPLANATION), left_out),
        windows=_windows(files.get(HINDCAST), left_out),
        unreadable={
            name: f"Could not be read and is left out: {name}: {why.removeprefix(f'{name}: ')}."
            for name, why in left_out.items()
        },
    )


def _document(content: bytes | Unread | None, left_out: dict[str, str]) -> EomerJob | None:
    if not isinstance(content, bytes):
        return None
    try:
        return decoded(EomerJob, content)
    except ValueError:
        left_out[DOCUMENT] = "it is no job of Eomer"
        return None


def _explanation(
    job: EomerJob | None, content: bytes | Unread | None, left_out: dict[str, str]
) -> Explainability | None:
    """As the job itself tells it, else as its own file does."""
    if job is not None and job.explainability is not None:
        return job.explainability
    if not isinstance(content, bytes):
        return None
    try:
        return decoded(Explainability, content)
    except ValueError:
        left_out[EXPLANATION] = "it is no explanation"
        return None


def _windows(content: bytes | Unread | None, left_out: dict[str, str]) -> Mapping[str, Sequence[Window]] | None:
    if not isinstance(content, bytes):
        return None
    try:
        return read_hindcast(content)
    except ArtifactError as error:
        left_out[HINDCAST] = str(error)
        return None


def find_series(results: Results, asked: str) -> int:
    """The place in the table, from 1, of a series: by its id, by its id as it is shown, or by "#" and its place.

    Raises `UnknownSeries`.
    """
    every = results.table.series
    same = [place for place, one in enumerate(every, 1) if one.item_id == asked]
    if not same and asked.startswith("#") and asked[1:].isdecimal() and len(asked) < _LONGEST_PLACE:
        same = [place for place in [int(asked[1:])] if 1 <= place <= len(every)]
    if not same:
        same = [place for place, one in enumerate(every, 1) if shown_id(one.item_id) == asked]
    if len(same) != 1:
        several = "Several series are shown under this id" if same else "The forecast has no such series"
        raise UnknownSeries(f"{several}; each can be named by its place in the table, from #1 to #{len(every)}.")
    return same[0]
