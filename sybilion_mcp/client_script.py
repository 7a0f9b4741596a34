"""A program of one's own as a client of this server: its text. Nothing of it runs here."""

from collections.abc import Mapping, Sequence

_STDIO = """\
from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(
    command={command},
    args={args},
    env={env},
)
"""

_HTTP = """\
from mcp import Client

SERVER = {url}
"""

_HTTP_WITH_KEY = """\
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

HEADERS = {{{header}: os.environ[{name}]}}
SERVER = streamable_http_client({url}, http_client=httpx2.AsyncClient(headers=HEADERS, timeout=90))
"""

_CONVERSATION = '''
TITLE = "Orders of a made-up product a month, units"
MAX_COST_EUR_CENTS = None  # on the hosted service: what a forecast may cost at most, as 400 for 4 EUR


def my_series() -> dict[str, float]:
    """Put your own here: one number for the first of each month, no month missing, up to last month."""
    end = date.today().year * 12 + date.today().month - 2
    months = range(end - 119, end + 1)
    return {f"{m // 12}-{m % 12 + 1:02d}-01": 100 + 9 * math.sin(m * math.pi / 6) + m % 7 / 5 for m in months}


class Refused(Exception):
    """What happened, and what to do."""


async def call(client: Client, tool: str, **arguments: object) -> dict:
    """What a tool answers, as data."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise Refused(result.content[0].text)
    return result.structured_content


async def forecast(client: Client) -> dict:
    checked = await call(client, "validate_series", series=my_series(), title=TITLE, soft_horizon=6)
    asked = {"series_id": checked["series_id"], "title": TITLE, "soft_horizon": 6}
    job = await call(client, "submit_forecast", **asked, max_cost_eur_cents=MAX_COST_EUR_CENTS)
    status = {"status": "queued"}
    while status["status"] in ("queued", "running") or (status["status"] == "completed" and not status["settled"]):
        status = await call(client, "get_status", job_id=job["job_id"], wait_seconds=45)
    return await call(client, "read_artifact", job_id=job["job_id"], artifact="report")


async def main() -> int:
    async with Client(SERVER) as client:
        try:
            report = await forecast(client)
        except Refused as failure:
            print(failure, file=sys.stderr)
            return 1
    for month in report["forecast"]:
        print(month["month"], month["forecast"], "80 %:", month["lower_80"], "to", month["upper_80"])
    print("Past forecasts against two simple rivals:", report["verdict"])
    return 0


sys.exit(anyio.run(main))
'''


def script(started: Sequence[str], environment: Mapping[str, str], url: str | None, token: str, header: str) -> str:
    """A program that holds a whole conversation.

    It starts the server itself, or talks HTTP when there is a `url`. `token` names the variable of its environment
    that holds one, empty where none is needed; over HTTP it travels in `header`.
    """
    reading = f"os.environ[{_text(token)}]"
    if url is None:
        command, *arguments = started
        values = {_text(name): _text(value) for name, value in environment.items()}
        values |= {_text(token): reading} if token else {}
        env = "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"
        args = "[" + ", ".join(map(_text, arguments)) + "]"
        connected = _STDIO.format(command=_text(command), args=args, env=env)
    elif token:
        connected = _HTTP_WITH_KEY.format(header=_text(header), name=_text(token), url=_text(url))
    else:
        connected = _HTTP.format(url=_text(url))
    names = ["math", *(["os"] if token else []), "sys"]
    imports = [*(f"import {name}" for name in names), "from datetime import date", "", "import anyio"]
    return '"""A forecast from a program."""\n\n' + "\n".join(imports) + "\n" + connected + _CONVERSATION


def _text(value: str) -> str:
    """A Python literal, in double quotes where it can be."""
    shown = repr(value)
    return shown if '"' in value or "'" in value else f'"{shown[1:-1]}"'
