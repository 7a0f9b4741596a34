"""`explain`: the report on a folder of downloaded artifacts, or on a job, printed."""

import json
import sys
from pathlib import Path

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.clock import utc_today
from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.explain.told import Asked, Told
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import readers
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.folders import told_of_folder
from sybilion_mcp.settings import Settings
from sybilion_mcp.terminal import complain, meant, told


def explain(source: str, settings: Settings, *, as_json: bool) -> int:
    """Print the report; 0, or 1 with the reason on stderr."""
    folder = Path(source)
    if folder.is_file():
        complain(f"{source} is a file; name the folder that it lies in, with forecast.json or forecast.csv")
        return 1
    if not folder.exists() and len(folder.parts) > 1:
        complain(f"There is no folder {source}")
        return 1
    try:
        made = told_of_folder(folder, utc_today()) if folder.is_dir() else anyio.run(_of_job, settings, source)
    except (ArtifactError, OSError) as error:
        complain(str(error))
        return 1
    except (Refusal, BackendError) as error:
        complain(told(error))
        return 1
    sys.stdout.write(f"{json.dumps(made.data, indent=1) if as_json else made.text}\n")
    return 0


async def _of_job(settings: Settings, text: str) -> Told:
    """Of the job whose id is this or begins so; one that is not remembered here, the default backend may know."""
    desk = Desk(settings)
    try:
        return await readers.told(desk, await meant(desk, text) or text, Asked("report"))
    finally:
        await desk.aclose()
