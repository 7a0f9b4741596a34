"""What comes with a submit: the form and its table, taken apart and checked."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from importlib.util import find_spec

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException as StarletteError
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from sybilion_mcp.contract.eomer_request import (
    DEFAULT_PREDICTION_LENGTH,
    DEFAULT_PRESET,
    ITEM_ID_COLUMN,
    MAX_FILE_BYTES,
    PRESETS,
    TARGET_COLUMN,
    TIMESTAMP_COLUMN,
    check_eomer,
)
from sybilion_mcp.contract.frequency import written
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.engine.eomer.failures import WireError

MAX_FORM_BYTES = MAX_FILE_BYTES + 64 * 1024
FORM_SECONDS = 60.0  # in which a whole form must have come
MOST_FIELDS = 40
MOST_ROWS = 500_000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a"})

Row = Sequence[str]


async def read_submit(request: Request) -> dict[str, object]:
    """The body of a submit, as `check_eomer` passed it. Raises `WireError`."""
    content = await _whole(request)

    async def replay() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    try:
        form = await Request(request.scope, replay).form(
            max_files=1, max_fields=MOST_FIELDS, max_part_size=MAX_FORM_BYTES
        )
    except (MultiPartException, StarletteError) as error:
        raise WireError(HTTPStatus.BAD_REQUEST, "validation_error", "the form cannot be read") from error
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise _invalid("file", "the form has no file")
        table = await file.read()
        if len(table) > MAX_FILE_BYTES:
            raise _too_large()
        return await anyio.to_thread.run_sync(_body, form, table, (file.filename or "").lower())
    finally:
        await form.close()


async def _whole(request: Request) -> bytes:
    """The form, as long as it keeps within the limits of size and time; not one chunk more is read."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_FORM_BYTES:
        raise _too_large()
    body = bytearray()
    with anyio.move_on_after(FORM_SECONDS) as waiting:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM_BYTES:
                raise _too_large()
    if waiting.cancelled_caught:
        raise WireError(HTTPStatus.REQUEST_TIMEOUT, "timeout", f"the form did not come within {FORM_SECONDS:g} seconds")
    return bytes(body)


def _body(form: FormData, table: bytes, filename: str) -> dict[str, object]:
    fields = {name: value for name, value in form.items() if isinstance(value, str) and value != ""}
    preset = fields.get("presets", DEFAULT_PRESET)
    if preset not in PRESETS:
        raise WireError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_preset", f"no such preset; {', '.join(PRESETS)} are")
    columns = {
        "item_id_column": fields.get("item_id_column", ITEM_ID_COLUMN),
        "timestamp_column": fields.get("timestamp_column", TIMESTAMP_COLUMN),
        "target_column": fields.get("target_column", TARGET_COLUMN),
    }
    rows = _workbook_rows(table) if filename.endswith(".xlsx") or table.startswith(b"PK\x03\x04") else _csv_rows(table)
    body: dict[str, object] = {
        "series": _series(rows, list(columns.values())),
        "prediction_length": _integer(fields, "prediction_length", DEFAULT_PREDICTION_LENGTH),
        "presets": preset,
        **({"freq": fields["freq"]} if "freq" in fields else {}),
        **({"quantile_levels": _levels(fields)} if "quantile_levels" in fields else {}),
        **({"explainability": _object(fields, "explainability")} if "explainability" in fields else {}),
        **columns,
    }
    problem = next((one for one in check_eomer(body) if one.severity == "error"), None)
    if problem is not None:
        raise _refused(problem)
    return body


def _series(rows: Iterable[Row], names: Sequence[str]) -> dict[str, list[tuple[str, float | None]]]:
    """Series → observations in the order of the table."""
    found: dict[str, list[tuple[str, float | None]]] = {}
    try:
        every = iter(rows)
        header = [cell.strip() for cell in next(every, ())]
        places = [_place(header, name) for name in names]
        for number, row in enumerate(every, start=1):
            if number > MOST_ROWS:
                raise _invalid("file", f"more than {MOST_ROWS} rows")
            item, stamp, target = (row[place].strip() if place < len(row) else "" for place in places)
            found.setdefault(item, []).append((stamp, _value(target, number)))
    except (csv.Error, UnicodeError) as error:
        raise _invalid("file", "the file is no CSV in UTF-8") from error
    return found


def _place(header: Row, name: str) -> int:
    if name not in header:
        raise _invalid("file", f'the file has no column "{name}"')
    return list(header).index(name)


def _value(cell: str, number: int) -> float | None:
    if cell.lower() in _NOTHING:
        return None
    if not _NUMBER.fullmatch(cell):
        raise _invalid("target_column", f"row {number} holds no number")
    return float(cell)


def _csv_rows(table: bytes) -> Iterator[Row]:
    text = io.TextIOWrapper(io.BytesIO(table), encoding="utf-8-sig", newline="")
    return (row for row in csv.reader(text) if any(cell.strip() for cell in row))


def _workbook_rows(table: bytes) -> Iterator[Row]:
    """The rows of the first sheet."""
    if find_spec("openpyxl") is None:
        raise _invalid("file", "Excel files need openpyxl, which is not installed here; send a CSV")
    from sybilion_mcp.hints import Refusal
    from sybilion_mcp.intake.workbooks import open_workbook

    try:
        workbook = open_workbook(table)
        rows = [[_text(cell) for cell in row] for row in workbook.worksheets[0].iter_rows(values_only=True)]
        workbook.close()
    except Refusal as refusal:
        raise _too_large() from refusal
    except Exception as error:  # a broken workbook may make openpyxl raise anything
        raise _invalid("file", "the Excel file cannot be read") from error
    return (row for row in rows if any(row))


def _text(cell: object) -> str:
    if isinstance(cell, datetime):
        return written(cell)
    return "" if cell is None else str(cell).strip()


def _integer(fields: Mapping[str, str], name: str, default: int) -> int:
    text = fields.get(name, str(default)).strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise _invalid(name, "must be a whole number")
    return int(text)


def _levels(fields: Mapping[str, str]) -> list[float]:
    try:
        return [float(one) for one in fields["quantile_levels"].strip("[] ").split(",") if one.strip()]
    except ValueError as error:
        raise _invalid("quantile_levels", "must be numbers with commas between them") from error


def _object(fields: Mapping[str, str], name: str) -> dict[str, object]:
    try:
        read = json.loads(fields[name])
    except (ValueError, RecursionError) as error:
        raise _invalid(name, "must be a JSON object") from error
    if not isinstance(read, dict):
        raise _invalid(name, "must be a JSON object")
    return read


def _refused(problem: Problem) -> WireError:
    if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _too_large()
    if problem.code == "bad_preset":
        return WireError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_preset", problem.message)
    return _invalid(problem.field, problem.message)


def _invalid(field: str, message: str) -> WireError:
    return WireError(HTTPStatus.UNPROCESSABLE_ENTITY, "validation_error", message, field)


def _too_large() -> WireError:
    sentence = f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB"
    return WireError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "file_too_large", sentence)
