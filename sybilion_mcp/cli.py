"""The command line: serve (the default), demo, sandbox, explain, drivers, jobs."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sybilion_mcp import __version__

if TYPE_CHECKING:
    from sybilion_mcp.settings import Settings


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

    serve = commands.add_parser("serve", help="the MCP server over stdio (the default)")
    serve.add_argument("--transport", choices=["stdio"], default="stdio")
    serve.add_argument("--backend", choices=["local", "sybilion"], help="who forecasts unless a call says otherwise")
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

    sandbox = commands.add_parser("sandbox", help="a Sybilion-compatible API on a port, on the embedded engine")
    sandbox.add_argument("--host", default="127.0.0.1")
    sandbox.add_argument("--port", type=int, default=8484, help="0 takes a free one")
    sandbox.set_defaults(run=_sandbox)

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
    return parser


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


def _serve(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.server import build_server

    build_server(_settings(arguments)).run(arguments.transport)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from sybilion_mcp.demo import run_demo

    return run_demo(arguments.file, arguments.date_column, arguments.value_column)


def _sandbox(arguments: argparse.Namespace) -> int:
    if find_spec("statsforecast") is None:
        return _complain("The embedded engine is not installed: pip install 'sybilion-mcp[engine]'")
    from sybilion_mcp.engine.sandbox import serve_sandbox

    settings = _settings(arguments)
    serve_sandbox(arguments.host, arguments.port, settings.home / "sandbox", settings.drivers_file)
    return 0


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


def _settings(arguments: argparse.Namespace) -> "Settings":
    """The environment, with the flags of the command on top; its secrets are told nowhere.

    Ends the program on a value that cannot be used.
    """
    from pydantic import ValidationError

    from sybilion_mcp.known_secrets import keep_secret
    from sybilion_mcp.settings import Settings, variable

    flags = {name: getattr(arguments, name, None) for name in ("backend", "read_only")}
    flags["allow_dirs"] = getattr(arguments, "allow_dir", None)
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            _complain(f"{variable(str(detail['loc'][0]))}: {detail['msg'].removeprefix('Value error, ')}")
        raise SystemExit(2) from None
    keep_secret(settings.secrets)
    return settings


def _complain(message: str) -> int:
    print(f"sybilion-mcp: {message}", file=sys.stderr)
    return 2
