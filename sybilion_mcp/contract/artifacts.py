"""The four artifacts and the input, read tolerantly.

Each reader takes the decoded JSON of one file and returns plain data, or raises `ArtifactError`. Real jobs
omit fields, write null, and spell one number in several ways; what can be understood is understood, and a
missing value is None or left out, never invented. Months are "YYYY-MM", values are in the series' own unit.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sybilion_mcp.contract.numbers import sane_number
from sybilion_mcp.contract.pipeline_info import PipelineInfo, read_pipeline_info
from sybilion_mcp.outside import quoted

_DATE = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:-\d{2}(?:[T ].*)?)?", re.ASCII)
_LAG = re.compile(r"(?:lag_)?(\d{1,4})(?:\.0*)?", re.ASCII)
_HORIZON = re.compile(r"(?:horizon_)?(\d{1,4})", re.ASCII)
_MEDIAN = 0.5

MOST_WINDOWS = 500
"""Past forecasts that are read of one job; the API sends those of a year."""
MOST_MONTHS = 5000
"""Of one series or one forecast; nobody has observed for longer."""


class ArtifactError(ValueError):
    """The payload is not this artifact: the message names the artifact and what cannot be read."""


@dataclass(frozen=True, slots=True)
class ForecastMonth:
    """One month ahead; `quantiles` maps a probability to a value and is empty when the API gave none."""

    month: str
    forecast: float
    quantiles: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The months in order; `horizon` is their number as the API states it. Only the embedded engine gives `info`."""

    months: tuple[ForecastMonth, ...]
    horizon: int
    info: PipelineInfo | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """One external series. `importance` is 0–100; `direction` and `correlation` (lag → r) are −1…1."""

    id: str
    name: str
    importance: float | None
    direction: float | None
    correlation: Mapping[int, float]
    importance_by_horizon: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class WindowMonth:
    """One backtested month; `forecast` is the median, None when neither it nor a point forecast is there."""

    month: str
    actual: float | None
    forecast: float | None
    quantiles: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """One past forecast, made with the data before `start`."""

    start: str
    end: str
    months: tuple[WindowMonth, ...]


def read_forecast(payload: object) -> Forecast:
    """forecast.json. A month without a point forecast takes its median; one with neither is left out."""
    artifact = "forecast.json"
    data = _object(_data(payload, artifact), artifact, "data")
    months = []
    for month, entry in _by_month(data.get("forecast_series"), artifact):
        quantiles = _quantiles(entry.get("quantile_forecast"), artifact)
        forecast = sane_number(entry.get("forecast"))
        if forecast is None:
            forecast = _median(quantiles)
        if forecast is not None:
            months.append(ForecastMonth(month, forecast, quantiles))
    if not months:
        raise ArtifactError(f"{artifact}: no month carries a forecast")
    horizon = sane_number(data.get("forecast_horizon"))
    info = read_pipeline_info(data.get("pipeline_info"))
    return Forecast(tuple(months), len(months) if horizon is None else int(horizon), info)


def read_external_signals(payload: object) -> tuple[Driver, ...]:
    """external_signals.json: one entry per series, in the file's order; empty when no driver was found."""
    artifact = "external_signals.json"
    data = _data(payload, artifact)
    if data is None:
        return ()
    entries = _object(data, artifact, "data")
    return tuple(_driver(key, entry, artifact) for key, entry in entries.items() if entry is not None)


def read_backtest_trajectories(payload: object) -> tuple[Window, ...]:
    """backtest_trajectories.json: the past forecasts by their start."""
    artifact = "backtest_trajectories.json"
    data = _data(payload, artifact)
    if data is None or data == {}:
        return ()
    if not isinstance(data, list):
        raise ArtifactError(f"{artifact}: data is {_kind(data)}, not a list of windows")
    if len(data) > MOST_WINDOWS:
        raise ArtifactError(f"{artifact}: {len(data)} windows are more than the {MOST_WINDOWS} that are read")
    windows = [_window(entry, artifact) for entry in data if entry is not None]
    return tuple(sorted(windows, key=lambda window: window.start))


def read_backtest_metrics(payload: object) -> Mapping[str, Mapping[str, float]]:
    """backtest_metrics.json: "12m" → {"MAE": …}; MAPE is a percentage."""
    artifact = "backtest_metrics.json"
    data = _data(payload, artifact)
    if data is None:
        return {}
    metrics: dict[str, dict[str, float]] = {}
    for span, entry in _object(data, artifact, "data").items():
        given = _maybe_object(_maybe_object(entry, artifact, _shown(span)).get("metrics"), artifact, "metrics")
        metrics[span] = {name: number for name, value in given.items() if (number := sane_number(value)) is not None}
    return metrics


def read_input(payload: object) -> dict[str, float]:
    """The series of input.json or of a submitted request: month → value, in order, nulls left out."""
    artifact = "input.json"
    body = _object(payload, artifact, "the file")
    if "timeseries" not in body and isinstance(body.get("data"), dict):
        body = _object(body["data"], artifact, "data")
    series = _object(body.get("timeseries"), artifact, "timeseries")
    if len(series) > MOST_MONTHS:
        raise ArtifactError(f"{artifact}: {len(series)} months are more than the {MOST_MONTHS} that are read")
    values = {_month(date, artifact): sane_number(value) for date, value in series.items()}
    return {month: value for month, value in sorted(values.items()) if value is not None}


def _data(payload: object, artifact: str) -> object:
    """What the envelope holds; another major version is another format."""
    envelope = _object(payload, artifact, "the file")
    version = envelope.get("version")
    if version is not None and str(version).split(".")[0] != "1":
        raise ArtifactError(f"{artifact}: version {_shown(version)} is not understood, only 1.x is")
    if "data" not in envelope:
        raise ArtifactError(f"{artifact}: there is no data in it")
    return envelope["data"]


def _driver(key: str, entry: object, artifact: str) -> Driver:
    fields = _object(entry, artifact, "a driver")
    name = fields.get("driver_name")
    importance = _maybe_object(fields.get("importance"), artifact, "importance")
    direction = _maybe_object(fields.get("direction"), artifact, "direction")
    correlation = _maybe_object(fields.get("pearson_correlation"), artifact, "pearson_correlation")
    return Driver(
        id=key,
        name=name if isinstance(name, str) else "",
        importance=_overall(importance),
        direction=_overall(direction),
        correlation=dict(sorted(_lags(correlation).items())),
        importance_by_horizon={
            horizon: _mean(list(lags.values())) for horizon, lags in sorted(_horizons(importance)) if lags
        },
    )


def _overall(measure: Mapping[str, object]) -> float | None:
    """The API's own `overall.mean`; without it the mean over lags, which is how the API forms it."""
    overall = measure.get("overall")
    given = sane_number(overall.get("mean") if isinstance(overall, dict) else overall)
    if given is not None:
        return given
    by_lag: dict[int, list[float]] = {}
    for _, lags in _horizons(measure):
        for lag, value in lags.items():
            by_lag.setdefault(lag, []).append(value)
    return _mean([_mean(values) for values in by_lag.values()]) if by_lag else None


def _horizons(measure: Mapping[str, object]) -> Iterator[tuple[int, dict[int, float]]]:
    for key, lags in measure.items():
        if (match := _HORIZON.fullmatch(key)) and isinstance(lags, dict):
            yield int(match[1]), _lags(lags)


def _lags(values: Mapping[str, object]) -> dict[int, float]:
    """Lags are written "3.0", "3" and "lag_3"; everything else, `overall` above all, is not a lag."""
    return {
        int(match[1]): number
        for key, value in values.items()
        if (match := _LAG.fullmatch(key)) and (number := sane_number(value)) is not None
    }


def _window(entry: object, artifact: str) -> Window:
    fields = _object(entry, artifact, "a window")
    months = tuple(
        _window_month(m, values, artifact) for m, values in _by_month(fields.get("forecast_series"), artifact)
    )
    first, last = (months[0].month, months[-1].month) if months else ("", "")
    start, end = fields.get("forecast_start"), fields.get("forecast_end")
    return Window(
        start=first if start is None else _month(start, artifact),
        end=last if end is None else _month(end, artifact),
        months=months,
    )


def _window_month(month: str, entry: Mapping[str, object], artifact: str) -> WindowMonth:
    quantiles = _quantiles(entry.get("quantile_forecast"), artifact)
    point = sane_number(entry.get("forecast"))
    if _MEDIAN in quantiles or point is None:
        point = _median(quantiles)
    return WindowMonth(month, sane_number(entry.get("actual")), point, quantiles)


def _quantiles(values: object, artifact: str) -> dict[float, float]:
    """Matched by number: "0.1" and "0.10" are one quantile."""
    quantiles: dict[float, float] = {}
    for key, value in _maybe_object(values, artifact, "quantile_forecast").items():
        try:
            level = round(float(key), 6)
        except ValueError:
            continue
        number = sane_number(value)
        if 0 < level < 1 and number is not None:
            quantiles[level] = number
    return dict(sorted(quantiles.items()))


def _median(quantiles: Mapping[float, float]) -> float | None:
    """The quantile 0.5, or the straight line between its neighbours; None when it lies outside of them."""
    if _MEDIAN in quantiles:
        return quantiles[_MEDIAN]
    below = max((level for level in quantiles if level < _MEDIAN), default=None)
    above = min((level for level in quantiles if level > _MEDIAN), default=None)
    if below is None or above is None:
        return None
    share = (_MEDIAN - below) / (above - below)
    return quantiles[below] * (1 - share) + quantiles[above] * share


def _by_month(series: object, artifact: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if series is None:
        return
    entries = _object(series, artifact, "forecast_series")
    if len(entries) > MOST_MONTHS:
        raise ArtifactError(f"{artifact}: {len(entries)} months are more than the {MOST_MONTHS} that are read")
    months = {_month(date, artifact): entry for date, entry in entries.items()}
    for month in sorted(months):
        yield month, _maybe_object(months[month], artifact, month)


def _month(date: object, artifact: str) -> str:
    match = _DATE.fullmatch(date) if isinstance(date, str) else None
    if match is None:
        raise ArtifactError(f"{artifact}: {_shown(date)} is not a date")
    return match[1]


def _object(value: object, artifact: str, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ArtifactError(f"{artifact}: {what} is {_kind(value)}, not an object")
    return value


def _maybe_object(value: object, artifact: str, what: str) -> dict[str, object]:
    return {} if value is None else _object(value, artifact, what)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "not JSON")


def _shown(value: object) -> str:
    """A fragment from outside as it may stand in an answer."""
    return quoted(value if isinstance(value, str) else repr(value), 40)
