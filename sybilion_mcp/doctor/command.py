"""`doctor`: every check, printed; 0 unless there is a problem."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from typing import Any

import anyio
from pydantic import ValidationError

from sybilion_mcp.doctor.engine import check_engine
from sybilion_mcp.doctor.finding import Finding, problem
from sybilion_mcp.doctor.folders import check_allowed, check_drivers, check_home
from sybilion_mcp.doctor.installation import check_names, check_packages, check_python
from sybilion_mcp.doctor.money import check_eomer_key, check_spend, check_token
from sybilion_mcp.doctor.service import check_service
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.settings import Settings, variable


def doctor(flags: Mapping[str, Any], *, as_json: bool, executor: Executor | None = None) -> int:
    """Look at everything, with the flags of the command over the environment; 1 when there is a problem.

    `executor`: where the engine's tiny job runs; a worker of its own when none is given.
    """
    findings = [check_python(), check_packages(), check_names(os.environ)]
    secrets: tuple[str, ...] = ()
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        findings += _unusable(error)
    else:
        secrets = settings.secrets
        findings += anyio.run(_examine, settings, executor)
    text = _as_data(findings) if as_json else _as_text(findings)
    sys.stdout.write(Secrets(secrets).hide(text))
    return 1 if _count(findings, "problem") else 0


async def _examine(settings: Settings, executor: Executor | None) -> list[Finding]:
    """What waits, waits at the same time."""
    engine: list[Finding] = []
    service: list[Finding] = []

    async def see_to_engine() -> None:
        engine.append(await check_engine(settings, executor))

    async def see_to_service() -> None:
        service.extend(await check_service(settings))

    async with anyio.create_task_group() as group:
        group.start_soon(see_to_engine)
        group.start_soon(see_to_service)
        here = await anyio.to_thread.run_sync(_on_this_machine, settings)
    return [*here, *service, *engine]


def _on_this_machine(settings: Settings) -> list[Finding]:
    return [
        *_looked("data folder", lambda: check_home(settings.home)),
        *_looked("allowed folders", lambda: check_allowed(settings.allow_dirs)),
        *_looked("driver folder", lambda: [check_drivers(settings.drivers_file)]),
        *_looked("token", lambda: check_token(settings, os.environ)),
        *check_eomer_key(settings),
        check_spend(settings),
    ]


def _looked(check: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What cannot even be looked at is a finding as well."""
    try:
        return list(look())
    except OSError as error:
        action = "See whether the path is right, and whether this user may look there."
        return [problem(check, f"cannot be looked at: {error.strerror}", action)]


def _unusable(error: ValidationError) -> Iterator[Finding]:
    for detail in error.errors(include_url=False, include_input=False):
        told = f"{variable(str(detail['loc'][0]))}: {detail['msg'].removeprefix('Value error, ')}"
        yield problem("settings", told, "Correct it; the server does not start like this.")


def _as_text(findings: Sequence[Finding]) -> str:
    width = max(len(one.check) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{one.level:<8}{one.check:<{width}}  {one.message}")
        if one.action:
            lines.append(f"{'':<{8 + width}}  → {one.action}")
    counted = " and ".join(_counted(findings, level) for level in ("problem", "warning"))
    return "\n".join([*lines, "", f"{counted}."]) + "\n"


def _as_data(findings: Sequence[Finding]) -> str:
    counts = {"problems": _count(findings, "problem"), "warnings": _count(findings, "warning")}
    return json.dumps({**counts, "findings": [asdict(one) for one in findings]}, indent=1, ensure_ascii=False) + "\n"


def _counted(findings: Sequence[Finding], level: str) -> str:
    count = _count(findings, level)
    return f"{count or 'no'} {level}{'' if count == 1 else 's'}"


def _count(findings: Sequence[Finding], level: str) -> int:
    return sum(one.level == level for one in findings)
