"""Orders of many series, for Eomer: the options are asked about, the numbers are named by the id of their panel."""

from collections.abc import Mapping
from dataclasses import replace

import anyio.to_thread

from sybilion_mcp.contract.eomer_request import DEFAULT_PREDICTION_LENGTH, DEFAULT_PRESET, check_options
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.panels import ONLY_SERIES, Panel, inline_rows, to_panel
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier, quoted
from sybilion_mcp.service.arguments import Options, PanelOptions, fixes
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.orders import Asked, Order, no_series, series_not_found, two_series, useless_options
from sybilion_mcp.store.panel import StoredPanel, is_panel_id, panel_id
from sybilion_mcp.store.records import Submission

SENT = ("prediction_length", "presets", "quantile_levels", "explainability")
"""What of a request goes over the wire beside the numbers."""


async def asked(desk: Desk, order: Order) -> Asked:
    """The order as options and the panel they are about. Raises `Refusal` where it breaks a rule."""
    refuse_useless(order.options, aux=bool(order.aux_series_ids))
    panel = await _panel(desk, order)
    options = wire_options(order.options.soft_horizon, order.panel)
    errors = [one for one in check_options(options, len(panel.series)) if one.severity == "error"]
    if errors:
        raise _refused(errors)
    title = order.options.title or panel.title
    request: dict[str, object] = {
        "series_id": panel.series_id,
        "num_items": len(panel.series),
        "frequency": panel.frequency,
        **options,
        "timeseries_metadata": {"title": title} if title else {},
    }
    return Asked(panel.series_id, request)


def wire_options(soft_horizon: int | None, given: PanelOptions) -> dict[str, object]:
    """As the service calls them. Silence and a default said aloud are the same."""
    options: dict[str, object] = {
        "prediction_length": DEFAULT_PREDICTION_LENGTH if soft_horizon is None else soft_horizon,
        "presets": given.preset or DEFAULT_PRESET,
    }
    if given.quantile_levels:
        options["quantile_levels"] = sorted({float(level) for level in given.quantile_levels})
    if given.explainability is not None:
        options["explainability"] = {"enabled": given.explainability}
    return options


def refuse_useless(options: Options, *, aux: bool = False) -> None:
    """Raise `Refusal` where an argument that only Sybilion takes says anything: Eomer would not even see it."""
    said = replace(options, title=None, description=None, soft_horizon=None).given()
    silence = {"recency_factor": DEFAULT_RECENCY_FACTOR, "backtest": True, "strictly_positive": False}
    useless = [name for name, value in said.items() if value != silence.get(name) and value != []]
    if aux:
        useless.append("aux_series_ids")
    if useless:
        raise useless_options("eomer", useless)


async def content(desk: Desk, question: Submission) -> dict[str, object]:
    """What is sent: the numbers of the panel, with the options."""
    panel = await desk.store.panels.get(question.series_id)
    if panel is None:
        raise series_not_found()
    options = {name: question.request[name] for name in SENT if name in question.request}
    return {"series": panel.series, **options}


def described(request: Mapping[str, object]) -> list[str]:
    """What a person is asked to pay for, in lines."""
    metadata, count = request["timeseries_metadata"], request["num_items"]
    title = str(metadata.get("title") or "") if isinstance(metadata, Mapping) else ""
    series = "1 series" if count == 1 else f"{count} series"
    periods = f"{request['prediction_length']} periods ({request['frequency']})"
    return [
        "Send a forecast to Eomer, which your plan there pays for?",
        f"Series: {f'{quoted(title, 160)}, ' if title else ''}{series}",
        f"Horizon: {periods}; preset {identifier(str(request['presets']))}",
    ]


async def kept_as(desk: Desk, order: Order) -> str | None:
    """The series_id under which the numbers of an order are remembered by now, where it brought them itself."""
    if order.series is None or order.series_id is not None:
        return None
    panel = await _read(order)
    if panel.frequency is None:
        return None
    series_id = panel_id(panel.frequency.alias, panel.series)
    return series_id if await desk.store.panels.get(series_id) else None


async def remember(desk: Desk, panel: Panel, options: Options) -> StoredPanel:
    """Keep sound series under the hash of their content."""
    assert panel.frequency is not None
    alias = panel.frequency.alias
    series_id = panel_id(alias, panel.series)
    stored = StoredPanel(series_id, alias, panel.series, options.title, options.description)
    await desk.store.panels.put(stored)
    return stored


async def _panel(desk: Desk, order: Order) -> StoredPanel:
    if order.series_id is not None and order.series is not None:
        raise two_series()
    if order.series_id is not None:
        return await _known(desk, order.series_id)
    if order.series is None:
        raise no_series()
    panel = await _read(order)
    errors = [one for one in panel.problems if one.severity == "error"]
    if panel.frequency is None:
        raise Refusal(
            "validation_failed",
            "The series have problems; nothing was sent.",
            'Repair them with validate_series and backend="eomer", then submit the series_id it answers.',
            next=NextStep("validate_series", {"backend": "eomer", **fixes(errors)}, "with the same series"),
            problems=errors,
        )
    return await remember(desk, panel, order.options)


async def _read(order: Order) -> Panel:
    rows = inline_rows(order.series or {})
    options = wire_options(None, PanelOptions())
    return await anyio.to_thread.run_sync(to_panel, rows, "none", options)


async def _known(desk: Desk, series_id: str) -> StoredPanel:
    """A panel; a monthly series becomes one of its own."""
    if is_panel_id(series_id):
        panel = await desk.store.panels.get(series_id)
        if panel is None:
            raise series_not_found()
        return panel
    one = await desk.store.series(series_id)
    if one is None:
        raise series_not_found()
    series, alias = {ONLY_SERIES: one.points}, "MS"
    stored = StoredPanel(panel_id(alias, series), alias, series, one.title, one.description)
    await desk.store.panels.put(stored)
    return stored


def _refused(errors: list[Problem]) -> Refusal:
    fixable = all(one.fix for one in errors)
    hint = "Call again with the values offered." if fixable else "Correct what is named and call again."
    return Refusal(
        "validation_failed",
        "The request breaks a rule of Eomer; nothing was sent.",
        hint,
        changes=fixes(errors),
        problems=errors,
    )
