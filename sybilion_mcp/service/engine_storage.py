"""What lies under the embedded engine: a data folder that cannot be used is told as that, not as the engine's fault."""

from typing import TYPE_CHECKING

from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.contract import engine_faults
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.calls import Answered, Question, ask
from sybilion_mcp.service.desk import Desk

if TYPE_CHECKING:
    from sybilion_mcp.engine.library import DriverLibrary


async def answered_by(desk: Desk, question: Question) -> Answered:
    """Raises `Refusal` and `BackendError` as `ask` does, and `storage_failed` where the engine's files fail."""
    try:
        return await ask(desk, question)
    except BackendError as error:
        tell_of_storage(error)
        raise


def tell_of_storage(error: BackendError) -> None:
    """Raises `Refusal` where the embedded engine says that it failed for want of its files."""
    if error.backend != "local" or not isinstance(error, AnswerError):
        return
    if error.text == engine_faults.FILES:
        raise Refusal(
            "storage_failed",
            "The embedded engine cannot open or write its files in the data folder.",
            "SYBILION_MCP_HOME must name a folder that the user of this server may write to, with room on its disk, "
            "and engine.db and drivers.db in it must not be damaged. Correct that and try again.",
        ) from error
    if error.text == engine_faults.DRIVER_FOLDER:
        raise Refusal(
            "storage_failed",
            "The user's driver folder could not be read.",
            "Ask the user to look with `sybilion-mcp drivers list` and to repair drivers.db in the data folder "
            "(SYBILION_MCP_HOME), or to move it away and add the series again.",
        ) from error


async def series_in_folder(desk: Desk) -> int:
    """How many series the driver folder holds."""
    return len((await _library(desk).contents()).drivers)


def _library(desk: Desk) -> "DriverLibrary":
    library: DriverLibrary = desk.local_app().state.library
    return library
