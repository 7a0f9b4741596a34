"""The log: one JSON object a line on stderr, with the ids of the trace it belongs to."""

import json
import logging
import sys
from datetime import UTC, datetime

from sybilion_mcp.tracing import trace_ids


class JsonLines(logging.Formatter):
    """time, level, logger and message; trace_id and span_id where there are some; exception with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **trace_ids(),
        }
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            said["exception"] = record.exc_text
        return json.dumps(said, ensure_ascii=False)


def start_logging(level: str) -> None:
    """Log to stderr from now on, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
