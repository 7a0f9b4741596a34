"""Series made stationary, so that what they have in common is more than a trend or a season."""

from dataclasses import dataclass

import numpy as np

from sybilion_mcp.engine.models import SMALLEST, Floats, seasonal_means, seasonal_share, takes_log, unit_of

OUTLIER = 4.0  # robust standard deviations beyond which a value is cut off
SEASONAL_SHARE = 0.3  # share of the variance that calendar months must explain to be taken out
MIN_MONTHS = 36  # fewer months tell no relation from chance


@dataclass(frozen=True, slots=True)
class Transform:
    """How a series is made stationary: `changes` from month to month, or its distance from a trend."""

    changes: bool

    def of(self, values: Floats, in_logs: bool) -> Floats:
        """One value for each month, 0 (the usual) where it is not known; in units of the series, or its logarithm."""
        found = np.zeros(len(values))
        known = np.flatnonzero(np.isfinite(values))
        if len(known) > MIN_MONTHS:
            first, last = int(known[0]), int(known[-1])
            level = values[first : last + 1]
            level = np.log(level / unit_of(level)) if in_logs else level  # the same bits in any unit
            part = _usual(np.diff(level)) if self.changes else _usual(_off_trend(level))
            found[last + 1 - len(part) : last + 1] = part
        return found

    @property
    def unknown(self) -> int:
        """Months at the beginning that have no value: the first month has no change."""
        return 1 if self.changes else 0


BY_CHANGES, BY_DISTANCE = Transform(changes=True), Transform(changes=False)


def on_ratio_scale(level: Floats) -> bool:
    """`takes_log` of a series that is not known everywhere."""
    known = level[np.isfinite(level)]
    return len(known) > 0 and takes_log(known)


def _off_trend(level: Floats) -> Floats:
    months = np.arange(len(level)) - (len(level) - 1) / 2.0
    slope = float(months @ level) / float(months @ months) if len(level) > 1 else 0.0
    return np.asarray(level - np.mean(level) - slope * months)


def _usual(values: Floats) -> Floats:
    """Around their mean, without season and outliers."""
    if seasonal_share(values) > SEASONAL_SHARE:
        values = values - seasonal_means(values)
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if spread > 0:
        values = np.clip(values, middle - OUTLIER * spread, middle + OUTLIER * spread)
    return np.asarray(values - np.mean(values))


def persistence(values: Floats) -> float:
    """The share of a month's distance from the usual that is left a month later, 0–1."""
    size = float(values[:-1] @ values[:-1])
    return float(np.clip(float(values[1:] @ values[:-1]) / size, 0.0, 1.0)) if size > SMALLEST else 0.0


def correlation(left: Floats, right: Floats) -> float:
    """−1…1; 0 where one of them hardly moves."""
    if len(left) < 3 or np.ptp(left) <= SMALLEST or np.ptp(right) <= SMALLEST:
        return 0.0
    return float(np.clip(np.corrcoef(left, right)[0, 1], -1.0, 1.0))
