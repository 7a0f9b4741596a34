"""The command line: serve (the default), demo, sandbox, explain, drivers, jobs, config, doctor."""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sybilion_mcp import __version__

if TYPE_CHECKING:
    from sybilion_mcp.settings import Settings


BACKENDS = ("local", "sybilion", "eomer")
NO_ENGINE = "The embedded engine is not installed: pip install 'sybilion-mcp[engine]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. Mistakes in the configuration are told in one line each."""
    arguments = _parser().parse_args(_with_default_command(list(sys.argv[1:] if argv is None else argv)))
    command: int = arguments.run(arguments)
    return command


def _with_default_command(argv: list[str]) -> list[str]:
    """Flags without a command belong to `serve`."""
    if argv and argv[0] in ("-h", "--help", "--version"):
        return argv
    return argv if argv and not argv[0].startswith("-") else ["serve", *argv]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sybilion-mcp", description="The forecasting desk for language-model agents.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"sybilion-mcp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="the MCP server over stdio (the default) or HTTP")
    serve.add_argument("--transport", choices=["stdio", "http"], default="stdio", help="stdio unless said")
    serve.add_argument("--host", help="for HTTP; 127.0.0.1 unless said; from other machines a key is needed")
    serve.add_argument("--port", type=int, help="for HTTP; 8000 unless said, 0 takes a free one")
    serve.add_argument("--backend", choices=BACKENDS, help="who forecasts unless a call says otherwise")
    serve.add_argument("--toolset", choices=["core", "all"], help="the five tools of a forecast (the default), or all")
    serve.add_argument("--read-only", action="store_true", default=None, help="no submits, no files written")
    serve.add_argument(
        "--allow-dir", action="append", type=Path, metavar="DIR", help="a folder whose files may be used; repeatable"
    )
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="a whole conversation on the embedded engine, printed")
    demo.add_argument("--file", type=Path, help="your own CSV, Excel or Parquet file instead of the made-up series")
    demo.add_argument("--date-column")
    demo.add_argument("--value-column")
    demo.set_defaults(run=_demo)

    _add_sandbox(commands.add_parser("sandbox", help="a Sybilion- or Eomer-compatible API on the embedded engine"))

    explain = commands.add_parser("explain", help="the report on a folder of downloaded artifacts, or on a job")
    explain.add_argument(
        "source",
        metavar="DIR_OR_JOB",
        help="a folder is compared with the job folders beside it that hold the same series; a job is named by its id, "
        "or how it begins",
    )
    explain.add_argument("--json", action="store_true", help="the report as data")
    explain.set_defaults(run=_explain)

    _add_drivers(commands.add_parser("drivers", help="your folder of series that may drive a forecast"))
    _add_jobs(commands.add_parser("jobs", help="the jobs that are remembered here, and what is kept of them"))
    _add_config(commands.add_parser("config", help="a ready block for the settings of a client"))
    _add_doctor(commands.add_parser("doctor", help="what is configured, reachable and wrong, and what to do"))
    return parser


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8484, help="0 takes a free one")
    parser.add_argument("--api", choices=["sybilion", "eomer"], default="sybilion", help="whose it is compatible with")
    parser.add_argument("--openapi", action="store_true", help="print the description of the API (OpenAPI 3.1) and end")
    parser.add_argument(
        "--tier", type=int, choices=[1, 2, 3], default=_TIER, help="1 allows little, 3 (the default) much"
    )
    for flag, name, lowest, unit, said in _SANDBOX_NUMBERS:
        kind, absent = _number(lowest), argparse.SUPPRESS
        parser.add_argument(flag, dest=name, type=kind, default=absent, metavar=unit, help=said)
    parser.set_defaults(run=_sandbox)


_TIER = 3
_SANDBOX_NUMBERS = (
    ("--balance", "credit_eur_cents", 0, "EUR_CENTS", "what a new account begins with"),
    ("--max-jobs", "max_jobs", 1, "N", "unfinished jobs of an account, instead of its tier's"),
    ("--requests-per-minute", "requests_per_minute", 1, "N", "of an account, instead of its tier's"),
    ("--job-seconds", "job_seconds", 0, "SECONDS", "that every job runs at least"),
    ("--retention", "retention_seconds", 0, "SECONDS", "after which settled jobs are gone; never by default"),
)


def _add_drivers(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    add = actions.add_parser("add", help="put the series of a CSV, Excel or Parquet file into the folder")
    add.add_argument("file", metavar="FILE", help="one column of dates, one column for each series")
    add.add_argument("--name", help="of the series, for a file with one; otherwise the header of its column")
    add.add_argument("--region", help="where the series are from; a word that filters and rankings know them by")
    add.add_argument("--category", help="what the series are about, as for --region")
    add.add_argument("--date-column")
    add.add_argument("--value-column", action="append", help="repeatable; without it, every column but the dates")
    add.add_argument("--sheet", help="of an Excel workbook")
    add.add_argument("--aggregate", choices=["none", "mean", "sum", "last"], default="none", help="days to months")
    add.add_argument("--fill", choices=["none", "linear", "previous", "zero"], default="none", help="missing months")
    add.set_defaults(run=_drivers_add)

    listing = actions.add_parser("list", help="the series in the folder")
    listing.add_argument("--json", action="store_true", help="the list as data")
    listing.set_defaults(run=_drivers_list)

    remove = actions.add_parser("remove", help="take series out of the folder")
    remove.add_argument("series", nargs="+", metavar="NAME_OR_ID", help="as `drivers list` shows them")
    remove.set_defaults(run=_drivers_remove)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    job = "the id of a job, or how it begins"

    listing = actions.add_parser("list", help="the jobs that were seen last first, a line for each")
    listing.add_argument("--status", choices=["queued", "running", "completed", "failed", "canceled"])
    listing.add_argument("--limit", type=int, default=20)
    listing.set_defaults(run=_jobs_list)

    show = actions.add_parser("show", help="status, cost, what was asked, and what is kept")
    show.add_argument("job", metavar="JOB", help=job)
    show.set_defaults(run=_jobs_show)

    export = actions.add_parser("export", help="write a new folder that `explain` reads")
    export.add_argument("job", metavar="JOB", help=job)
    export.add_argument("folder", metavar="DIR", type=Path, help="does not exist yet")
    export.set_defaults(run=_jobs_export)

    forget = actions.add_parser("forget", help="drop a job and all that is kept of it; what it cost still counts")
    forget.add_argument("job", metavar="JOB", help=job)
    forget.add_argument("--yes", action="store_true", help="do not ask")
    forget.set_defaults(run=_jobs_forget)


def _add_config(parser: argparse.ArgumentParser) -> None:
    clients = ["claude-desktop", "claude-code", "cursor", "vscode", "python"]
    parser.add_argument("client", choices=clients, metavar="CLIENT", help=", ".join(clients))
    parser.add_argument("--backend", choices=BACKENDS, help="as for serve")
    parser.add_argument("--toolset", choices=["core", "all"], help="as for serve")
    parser.add_argument("--allow-dir", action="append", type=Path, metavar="DIR", help="as for serve; repeatable")
    parser.add_argument("--http", metavar="URL", help="of a server that runs already, as https://host/mcp")
    parser.set_defaults(run=_config)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=BACKENDS, help="as for serve")
    parser.add_argument("--allow-dir", action="append", type=Path, metavar="DIR", help="as for serve; repeatable")
    parser.add_argument("--json", action="store_true", help="the findings as data")
    parser.set_defaults(run=_doctor)


def _serve(arguments: argparse.Namespace) -> int:
    over_http = arguments.transport == "http"
    if not over_http and not (arguments.host is None and arguments.port is None):
        return _complain("--host and --port are for --transport http")
    gc.disable()  # what is imported stays: looking through it again and again would be a tenth of the start
    try:
        from sybilion_mcp.logs import start_logging
        from sybilion_mcp.server import build_server
        from sybilion_mcp.settings import unread_names

        settings = _settings(arguments)
        unread = unread_names(os.environ)
        if unread:  # a limit of the user's own may be among them, which does not hold then
            _complain(f"nothing reads {', '.join(unread)}")
        absent = [str(folder) for folder in settings.allow_dirs if not folder.expanduser().is_dir()]
        if absent:
            _complain(f"no such folder to allow: {', '.join(absent)}")
        start_logging(settings.log_level)
        server = None if over_http else build_server(settings)
        if server is not None:
            gc.freeze()  # nor is there anything to find in it later
    finally:
        gc.enable()
    if server is None:
        port = 8000 if arguments.port is None else arguments.port
        host = "127.0.0.1" if arguments.host is None else arguments.host
        return _serve_http(settings, host, port)
    if sys.stdin is not None and sys.stdin.isatty():  # no client: somebody tries it out
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # or it would only end after another line
        _complain("waiting for a client on standard input; `sybilion-mcp config CLIENT` tells how one starts it")
    server.run("stdio")
    return 0


def _serve_http(settings: "Settings", host: str, port: int) -> int:
    from sybilion_mcp.http.serve import serve_http

    return _listening(port, lambda: serve_http(settings, host, port))


def _listening(port: int, serve: Callable[[], None]) -> int:
    """Serve until told to end; 2 where the address or the data folder cannot be used, or settings do not fit."""
    if not 0 <= port <= 65_535:
        return _complain("--port takes a whole number from 0 to 65,535")
    try:
        serve()
    except (ValueError, OSError) as error:
        return _complain(str(error))
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.demo import run_demo

    return run_demo(arguments.file, arguments.date_column, arguments.value_column)


def _sandbox(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.sandbox_command import sandbox

    other = [flag for flag, name, *_ in _SANDBOX_NUMBERS if name in vars(arguments)]
    other += ["--openapi"] if arguments.openapi else []
    other += ["--tier"] if arguments.tier != _TIER else []
    if arguments.api == "eomer" and other:
        return _complain(f"{other[0]} is for --api sybilion only")
    if not arguments.openapi and find_spec("statsforecast") is None:
        return _complain(NO_ENGINE)
    return _listening(arguments.port, lambda: sandbox(arguments, lambda: _settings(arguments)))


def _number(lowest: int) -> Callable[[str], int]:
    """Of an option: a whole number from `lowest` to a thousand million."""

    def number(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text[:12]) <= 10**9:
            raise argparse.ArgumentTypeError(f"a whole number from {lowest} to 1,000,000,000 is expected")
        return int(text)

    return number


def _explain(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.explain_command import explain

    return explain(arguments.source, _settings(arguments), as_json=arguments.json)


def _drivers_add(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.drivers_command import Source, add_drivers

    asked = {name: getattr(arguments, name) for name in ("file", "name", "date_column", "sheet", "aggregate", "fill")}
    source = Source(**asked, value_columns=tuple(arguments.value_column or ()))
    return add_drivers(_settings(arguments).drivers_file, source, arguments.region, arguments.category)


def _drivers_list(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.drivers_command import list_drivers

    return list_drivers(_settings(arguments).drivers_file, as_json=arguments.json)


def _drivers_remove(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.drivers_command import remove_drivers

    return remove_drivers(_settings(arguments).drivers_file, arguments.series)


def _jobs_list(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.jobs_command import list_jobs

    return list_jobs(_settings(arguments), arguments.status, arguments.limit)


def _jobs_show(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.jobs_command import show_job

    return show_job(_settings(arguments), arguments.job)


def _jobs_export(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.jobs_command import export_job

    return export_job(_settings(arguments), arguments.job, arguments.folder)


def _jobs_forget(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.jobs_command import forget_job

    return forget_job(_settings(arguments), arguments.job, ask=not arguments.yes)


def _config(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.config_command import config

    given = {"--backend": arguments.backend, "--toolset": arguments.toolset}
    asked = {flag: value for flag, value in given.items() if value}
    return config(arguments.client, _settings(arguments), asked, url=arguments.http)


def _doctor(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.doctor.worker import warmed

    with warmed() as executor:  # begins before the rest is imported
        from sybilion_mcp.doctor.command import doctor

        return doctor(_flags(arguments), as_json=arguments.json, executor=executor)


def _settings(arguments: argparse.Namespace) -> "Settings":
    """The environment, with the flags of the command on top; its secrets are told nowhere.

    Ends the program on a value that cannot be used.
    """
    from pydantic import ValidationError

    from sybilion_mcp.known_secrets import keep_secret
    from sybilion_mcp.settings import Settings, variable

    try:
        settings = Settings(**_flags(arguments))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            _complain(f"{variable(str(detail['loc'][0]))}: {detail['msg'].removeprefix('Value error, ')}")
        raise SystemExit(2) from None
    keep_secret(settings.secrets)
    return settings


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command was told, by the names of the settings."""
    flags = {name: getattr(arguments, name, None) for name in ("backend", "read_only", "toolset")}
    flags["allow_dirs"] = getattr(arguments, "allow_dir", None)
    return {name: value for name, value in flags.items() if value is not None}


def _complain(message: str) -> int:
    print(f"sybilion-mcp: {message}", file=sys.stderr)
    return 2
