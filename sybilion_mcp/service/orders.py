"""Orders: what a caller asks for, and what that is once it is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.arguments import Options, PanelOptions


@dataclass(frozen=True, slots=True)
class Order:
    """What the caller asks for. Either `series_id` or `series` names the numbers."""

    options: Options
    series_id: str | None = None
    series: Mapping[str, object] | None = None
    aux_series_ids: Sequence[str] = ()
    max_cost_eur_cents: int | None = None
    resubmit: bool = False
    backend: str | None = None
    panel: PanelOptions = field(default_factory=PanelOptions)
    agreed_to: str | None = None
    """The request_hash of what a person agreed to pay for; anything else is not sent."""
    person: bool = False
    """Whether there is one who can be asked: then it is they who agree, whatever limit the caller names."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An order in the words of its service: what tells it from others and what is shown of it, without the numbers
    where these are many.

    `driver_names`: aux_0 → the title under which the caller knows it.
    """

    series_id: str
    request: dict[str, object]
    driver_names: Mapping[str, str] = field(default_factory=dict)


def no_series() -> Refusal:
    return Refusal(
        "invalid_argument",
        "Neither series_id nor series was given.",
        "Call validate_series first and pass the series_id it answers.",
        next=NextStep("validate_series"),
    )


def two_series() -> Refusal:
    return Refusal(
        "invalid_argument",
        "Give series_id or series, not both.",
        "series_id names numbers that validate_series has seen; series is an object of date to number.",
    )


def series_not_found(argument: str = "series_id", series_id: str | None = None) -> Refusal:
    """`series_id` where several could be meant."""
    which = "this series_id" if series_id is None else f'"{identifier(series_id)[:40]}" ({argument})'
    return Refusal(
        "series_not_found",
        f"No series is remembered under {which}.",
        "Call validate_series with the numbers or the file again; the same numbers give the same series_id.",
        next=NextStep("validate_series"),
    )


def useless_options(backend: str, names: Sequence[str]) -> Refusal:
    """What another service would take, and this one would not even see."""
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return Refusal(
        "invalid_argument",
        f"{_SERVICES[backend]} takes no {listed}.",
        "Call again without, if the user does not need it.",
        changes=dict.fromkeys(names),
    )


_SERVICES = {"local": "The embedded engine", "sybilion": "Sybilion", "eomer": "Eomer"}
