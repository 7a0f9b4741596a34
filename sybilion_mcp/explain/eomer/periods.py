"""The periods of a panel: how its timestamps are counted, and how they are written."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time

from sybilion_mcp.contract.eomer_request import MAX_PREDICTION_LENGTH
from sybilion_mcp.contract.eomer_table import ForecastTable
from sybilion_mcp.contract.frequency import Frequency, grid_of, infer, parse_alias, read_timestamp
from sybilion_mcp.explain.grid import Grid


@dataclass(frozen=True, slots=True)
class Panel:
    """Series as they were sent: item id → timestamp → number, in the order of time."""

    series: Mapping[str, Mapping[str, float]]
    frequency: str | None = None

    def of(self, item_id: str, *, alone: bool) -> Mapping[str, float]:
        """The numbers of one series; `alone` in its job it has no other name to be told by."""
        if alone and len(self.series) == 1:
            return next(iter(self.series.values()))
        return self.series.get(item_id, {})


@dataclass(frozen=True, slots=True)
class Periods:
    """`frequency` is None where the timestamps lie on no grid: they are counted one by one then."""

    frequency: Frequency | None
    grid: Grid

    @property
    def monthly(self) -> bool:
        return _is_monthly(self.frequency)

    @property
    def alias(self) -> str | None:
        return self.frequency.alias if self.frequency else None

    @property
    def label(self) -> str:
        """What one of its labels is called."""
        return "month" if self.monthly else "timestamp"

    @property
    def scale(self) -> str:
        """What a MASE of 1 is."""
        season = self.grid.season
        if season == 1:
            return f"(1 = the mean change from one {self.grid.word} to the next in the past)"
        return f"(1 = the mean change over {season} {self.grid.word}s in the past)"

    def written(self, timestamp: str) -> str:
        return timestamp[:7] if self.monthly else timestamp

    def history(self, points: Mapping[str, float]) -> Mapping[str, float]:
        """The same with labels as they are written here."""
        return {label[:7]: value for label, value in points.items()} if self.monthly else points


def periods_of(table: ForecastTable, panel: Panel | None) -> Periods:
    """How the timestamps of a job are counted."""
    labels = {step.timestamp for one in table.series for step in one.steps}
    known: set[str] = set().union(*(points.keys() for points in panel.series.values())) if panel else set()
    stamps = {label: at for label in labels | known if (at := read_timestamp(label)) is not None}
    frequency = _frequency(panel, sorted({stamps[label] for label in labels}), sorted(stamps.values()))
    numbers = {} if frequency is None else {at: frequency.index(at) for at in set(stamps.values())}
    if frequency is None or None in numbers.values():
        numbers = {at: place for place, at in enumerate(sorted(set(stamps.values())))}
        return Periods(None, _grid(None, numbers, clocks=_has_clock(stamps.values())))
    return Periods(frequency, _grid(frequency, numbers, clocks=_has_clock(stamps.values())))


def _frequency(panel: Panel | None, ahead: list[datetime], every: list[datetime]) -> Frequency | None:
    alias = parse_alias(panel.frequency) if panel and panel.frequency else None
    found = grid_of(alias, every[0]) if alias and every else None
    if found is not None:
        return found
    guessed = infer(ahead if len(ahead) > 1 else every) if len(every) > 1 else None
    return guessed if isinstance(guessed, Frequency) else None


def _grid(frequency: Frequency | None, numbers: Mapping[datetime, int | None], *, clocks: bool) -> Grid:
    seasons = frequency.seasons if frequency else ()
    word = frequency.word if frequency else "period"
    index = _Numbers(frequency, numbers)
    return Grid(
        index=index,
        season=seasons[0] if seasons else 1,
        over=lambda label, today: _over(frequency, label, today),
        word="period" if word.startswith("period of") else word,
        at="in" if _is_monthly(frequency) else "at" if clocks else "on",
        most=MAX_PREDICTION_LENGTH,
    )


@dataclass(slots=True)
class _Numbers:
    """The number of a label; labels come again in every series."""

    frequency: Frequency | None
    numbers: Mapping[datetime, int | None]
    known: dict[str, int] = field(default_factory=dict)
    order: list[datetime] = field(init=False)
    months: dict[tuple[int, int], datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.order = sorted(self.numbers)
        self.months = {(at.year, at.month): at for at in self.order} if _is_monthly(self.frequency) else {}

    def __call__(self, label: str) -> int:
        found = self.known.get(label)
        if found is None:
            found = self.known[label] = self._number(read_timestamp(label) or datetime.min)
        return found

    def _number(self, at: datetime) -> int:
        number = self.numbers.get(at)
        if number is None and self.frequency is not None:
            number = self.frequency.index(self._shifted(at))
        if number is not None:
            return number
        return bisect_right(self.order, at) - 1  # beside the grid: with the period before

    def _shifted(self, at: datetime) -> datetime:
        """A month's label is written without its day, which is the last one on some grids."""
        return self.months.get((at.year, at.month), at)


def _over(frequency: Frequency | None, label: str, today: date) -> bool:
    at = read_timestamp(label)
    if at is None:
        return False
    if frequency is None:
        return at.date() < today
    if _is_monthly(frequency):
        return (at.year, at.month) < (today.year, today.month)
    number = frequency.index(at)
    if frequency.unit == "month_end" or number is None:
        return at.date() < today
    try:
        return frequency.at(number + 1) <= datetime.combine(today, time.min)
    except OverflowError:
        return False


def _is_monthly(frequency: Frequency | None) -> bool:
    return frequency is not None and frequency.unit in ("month_start", "month_end") and frequency.step == 1


def _has_clock(stamps: Iterable[datetime]) -> bool:
    return any(at.hour or at.minute for at in stamps)
