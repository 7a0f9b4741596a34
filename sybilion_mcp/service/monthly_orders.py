"""Orders of one monthly series, for Sybilion or the embedded engine: the request body, whole, as it is sent."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.rules import check_request
from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.series import points_of, to_monthly
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier, quoted
from sybilion_mcp.service.arguments import Options, fixes, to_body
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.orders import Asked, Order, no_series, series_not_found, two_series, useless_options
from sybilion_mcp.service.validate import remember, series_id_of
from sybilion_mcp.store.panel import is_panel_id
from sybilion_mcp.store.records import StoredSeries, Submission


async def asked(desk: Desk, order: Order) -> Asked:
    """The order as the body that goes over the wire. Raises `Refusal` where it breaks a rule."""
    foreign = list(order.panel.given())
    if foreign:
        raise useless_options(order.backend or desk.settings.default_backend, foreign)
    known = await _series(desk, order)
    options = _with_defaults(order.options, known)
    aux = [await _known_series(desk, one, f"aux_series_ids[{at}]") for at, one in enumerate(order.aux_series_ids)]
    months = known.points.keys()
    body = to_body(known.points, options, [{m: v for m, v in one.points.items() if m in months} for one in aux])
    errors = [one for one in check_request(body, desk.today()) if one.severity == "error"]
    if errors:
        raise _invalid(errors)
    return Asked(known.series_id, body, {f"aux_{i}": one.title or one.series_id for i, one in enumerate(aux)})


async def content(desk: Desk, question: Submission) -> dict[str, object]:
    """What is sent: the request itself."""
    return dict(question.request)


def described(request: Mapping[str, object]) -> list[str]:
    """What a person is asked to pay for, in lines."""
    metadata, series = request["timeseries_metadata"], request["timeseries"]
    assert isinstance(metadata, Mapping)
    assert isinstance(series, Mapping)
    months = sorted(series)
    return [
        "Pay for a forecast on the Sybilion service?",
        f"Series: {quoted(str(metadata['title']), 160)}, {len(months)} months, {months[0][:7]} to {months[-1][:7]}",
        f"Horizon: {_horizon(request)}; {_drivers(request)}",
    ]


def _horizon(request: Mapping[str, object]) -> str:
    soft, hard = request.get("soft_horizon"), request.get("hard_horizon")
    if soft is None or hard in (None, soft):
        return _months(soft or hard)
    return f"{_months(soft)}, or as few as {hard}"


def _drivers(request: Mapping[str, object]) -> str:
    filters, aux = request.get("filters"), request.get("aux_timeseries")
    limit = filters.get("limit") if isinstance(filters, Mapping) else None
    outside = "no outside drivers" if limit == 0 else "with outside drivers"
    own = f" and {len(aux)} of your own" if isinstance(aux, list) else ""
    return f"{outside}{own}"


def _months(count: object) -> str:
    return "1 month" if count == 1 else f"{count} months"


def _with_defaults(options: Options, known: StoredSeries) -> Options:
    """What the caller does not say comes from the validated series, then from our own defaults.

    Silence and a default said aloud ask the same question, so they become the same request.
    """
    keywords = options.keywords if options.keywords is not None else known.keywords
    positive = known.strictly_positive if options.strictly_positive is None else options.strictly_positive
    return replace(
        options,
        title=options.title or known.title,
        description=options.description or known.description or None,
        keywords=keywords or None,
        strictly_positive=positive or None,
        regions=options.regions or None,
        categories=options.categories or None,
        recency_factor=DEFAULT_RECENCY_FACTOR if options.recency_factor is None else options.recency_factor,
        backtest=True if options.backtest is None else options.backtest,
    )


async def _series(desk: Desk, order: Order) -> StoredSeries:
    if order.series_id is not None and order.series is not None:
        raise two_series()
    if order.series_id is not None:
        return await _known_series(desk, order.series_id)
    if order.series is None:
        raise no_series()
    monthly = to_monthly(points_of(order.series), "none", "none", desk.today())
    errors = [one for one in monthly.problems if one.severity == "error"]
    if errors:
        raise Refusal(
            "validation_failed",
            "The series has problems; nothing was sent.",
            "Repair it with validate_series, then submit the series_id it answers.",
            next=NextStep("validate_series", fixes(errors)),
            problems=errors,
        )
    series_id = await remember(desk, monthly.points, order.options)
    return await _known_series(desk, series_id)


async def kept_as(desk: Desk, order: Order) -> str | None:
    """The series_id under which the numbers of an order are remembered by now, where it brought them itself."""
    if order.series is None or order.series_id is not None:
        return None
    series_id = series_id_of(to_monthly(points_of(order.series), "none", "none", desk.today()).points)
    with suppress(Refusal):  # that the store cannot be used now is no news: the call failed
        return series_id if await desk.store.series(series_id) else None
    return None


async def _known_series(desk: Desk, series_id: str, argument: str = "series_id") -> StoredSeries:
    if is_panel_id(series_id):
        which = "This series_id" if argument == "series_id" else f'"{identifier(series_id)[:40]}" ({argument})'
        raise Refusal(
            "invalid_argument",
            f"{which} names series that were validated for Eomer; Sybilion and the embedded engine take one "
            "monthly series.",
            'Submit it with backend="eomer", or validate one monthly series without backend.',
            next=NextStep("validate_series", reason="without backend, with one monthly series"),
        )
    known = await desk.store.series(series_id)
    if known is None:
        raise series_not_found(argument, series_id)
    return known


def _invalid(errors: list[Problem]) -> Refusal:
    fixable = all(one.fix for one in errors)
    hint = "Call again with the values offered." if fixable else "Correct what is named and call again."
    return Refusal(
        "validation_failed",
        "The request breaks a rule of the service; nothing was sent.",
        hint,
        changes=fixes(errors),
        problems=errors,
    )
