"""How the engine would have done on a series, as that travels from a worker; or why nobody knows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hindcast:
    """Past forecasts beside what came.

    `mae` is the mean absolute error over all months of all of them, in the unit of the series; of `counted_80` months
    the 80 % band held `held_80`.
    """

    mae: float
    held_80: int
    counted_80: int


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """`reason` is half a sentence about the engine: "it is busy with other work"."""

    reason: str
