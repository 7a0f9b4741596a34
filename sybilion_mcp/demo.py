"""A whole conversation with the real server over stdio, on the embedded engine: no key, no network.

Without a file it uses a series that is made up from known drivers, so that the explanation can be held against the
truth.
"""

import json
import math
import random
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from sybilion_mcp.clock import utc_today
from sybilion_mcp.contract.months import month_index, month_of

MONTHS = 132
HORIZON = 12


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A demand that follows a price and a rate, and a third series that has nothing to do with it."""

    demand: dict[str, float]
    drivers: dict[str, dict[str, float]]
    truth: str


def run_demo(file: Path | None, date_column: str | None, value_column: str | None) -> int:
    """Print the conversation; 0 when it ends with a report."""
    if file is not None and not file.is_file():
        sys.stderr.write(f"sybilion-mcp: there is no file {file}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="sybilion-mcp-demo-") as home:
        return anyio.run(_converse, Path(home), file and file.resolve(), date_column, value_column)


async def _converse(home: Path, file: Path | None, date_column: str | None, value_column: str | None) -> int:
    folder = ["--allow-dir", str(file.parent)] if file else []
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sybilion_mcp", "serve", "--backend", "local", *folder],
        env={"SYBILION_MCP_HOME": str(home)},
    )
    async with Client(server) as client:
        desk = Conversation(client)
        if file is None:
            return await _made_up_conversation(desk)
        named = {"date_column": date_column, "value_column": value_column}
        return await _file_conversation(desk, file, {name: value for name, value in named.items() if value})


class Conversation:
    """Prints each call and its answer, and hands the structured answer on."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def say(self, text: str) -> None:
        sys.stdout.write(f"\n{textwrap.fill(text, 100)}\n")

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments)
        sys.stdout.write(f"\n  → {tool}({_shown(arguments)})\n\n{textwrap.indent(_text(result), '    ')}\n")
        sys.stdout.flush()
        return result.structured_content or {}


async def _made_up_conversation(desk: Conversation) -> int:
    made = make_up()
    desk.say(
        "A made-up series: monthly demand for heat pumps, 132 months, built by formula from two drivers. First as a "
        "spreadsheet would have it: a gap, a missing value, a horizon and a title that will not do."
    )
    await desk.call("validate_series", series=broken(made.demand), soft_horizon=14, title="Heat pumps")
    desk.say("Every problem at once, before anything was sent. The repaired series, with a title that says what it is:")
    title = "Heat pump demand in Austria, units a month (made up)"
    answer = await desk.call(
        "validate_series", series=broken(made.demand), fill="linear", soft_horizon=HORIZON, title=title
    )
    desk.say("Three series that might drive it. Two do, one does not; the engine is not told which.")
    aux = []
    for name, series in made.drivers.items():
        checked = await desk.call("validate_series", series=series, title=name)
        aux.append(checked["series_id"])
    job_id = await _forecast(desk, series_id=answer["series_id"], soft_horizon=HORIZON, aux_series_ids=aux)
    if job_id is None:
        return 1
    desk.say(f"The truth, since this series is made up: {made.truth}")
    return 0


async def _file_conversation(desk: Conversation, file: Path, columns: Mapping[str, str]) -> int:
    title = f"{file.stem} (from your file)".ljust(20)
    arguments: dict[str, Any] = {"file": str(file), **columns, "title": title}
    desk.say(f"Your file {file.name}:")
    answer = await desk.call("validate_series", **arguments)
    if not answer.get("valid") and answer.get("next", {}).get("tool") == "validate_series":
        repaired = answer["next"]["arguments"]
        if repaired != arguments:
            desk.say("Once more with everything that can be fixed by an argument:")
            answer = await desk.call("validate_series", **repaired)
    if not answer.get("valid") or not answer.get("allowed_horizons"):
        desk.say("This cannot be forecast as it is; the answer above says why.")
        return 1
    horizon = max(answer["allowed_horizons"])
    return 0 if await _forecast(desk, series_id=answer["series_id"], soft_horizon=horizon) else 1


async def _forecast(desk: Conversation, **arguments: Any) -> str | None:
    """Submit, follow to the end, read. The job's id, or None when it ended without a report."""
    desk.say("Now the forecast. On the embedded engine it is free; the call for the hosted service is the same.")
    submitted = await desk.call("submit_forecast", **arguments)
    if "job_id" not in submitted:
        return None
    job_id: str = submitted["job_id"]
    status = await desk.call("get_status", job_id=job_id, wait_seconds=45)
    while status.get("next", {}).get("tool") == "get_status":
        status = await desk.call("get_status", job_id=job_id, wait_seconds=45)
    desk.say("The report: the forecast, how good such forecasts were, and what the engine leaned on.")
    report = await desk.call("read_artifact", job_id=job_id, artifact="report")
    if "forecast" not in report:
        return None
    desk.say("And the drivers alone, every one that carries weight.")
    await desk.call("read_artifact", job_id=job_id, artifact="drivers", view="table")
    return job_id


def make_up() -> MadeUp:
    """The made-up series, ending last month. The same numbers every time, on dates that move on."""
    chance = random.Random(20)
    last = month_index(utc_today()) - 1
    months = [f"{month_of(index)}-01" for index in range(last - MONTHS + 1, last + 1)]
    lead = 6
    price = _walk(chance, MONTHS + lead, start=100.0, step=4.0)
    rate = _walk(chance, MONTHS + lead, start=30.0, step=1.2)
    other = _walk(chance, MONTHS + lead, start=60.0, step=3.0)
    demand = [
        400
        + 2.0 * (price[t + lead - 3] - 100)
        - 5.0 * (rate[t] - 30)
        + 25 * math.sin(2 * math.pi * t / 12)
        + chance.gauss(0, 4)
        for t in range(MONTHS)
    ]
    return MadeUp(
        demand=_dated(months, demand),
        drivers={
            "Gas price for households, EUR per MWh (made up)": _dated(months, price[lead:]),
            "Hotel nights in Portugal, thousands (made up)": _dated(months, other[lead:]),
            "Interest rate on home loans, basis points (made up)": _dated(months, rate[lead:]),
        },
        truth=(
            "demand follows the gas price by 3 months, upwards, and the interest rate by 6 months, downwards; hotel "
            "nights have nothing to do with it."
        ),
    )


def broken(series: Mapping[str, float]) -> dict[str, Any]:
    """The series with a month left out and a value that is missing."""
    months = list(series)
    gap, missing = months[40], months[90]
    return {month: None if month == missing else value for month, value in series.items() if month != gap}


def _walk(chance: random.Random, length: int, start: float, step: float) -> list[float]:
    values = [start]
    while len(values) < length:
        values.append(values[-1] + chance.gauss(0, step))
    return values


def _dated(months: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return {month: round(value, 2) for month, value in zip(months, values, strict=True)}


def _shown(arguments: Mapping[str, Any]) -> str:
    """The call as a person would write it, with long series cut."""
    return ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        begin = ", ".join(f"{json.dumps(month)}: {number}" for month, number in list(value.items())[:2])
        return f"{{{begin}, … {len(value)} months}}"
    return json.dumps(value, ensure_ascii=False)


def _text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
