"""Logs and streams that say everything but secrets."""

import io
import logging
from collections.abc import Callable
from threading import RLock
from typing import TextIO

Hide = Callable[[str], str]
"""Gives a text without its secrets."""


class HidingFilter(logging.Filter):
    """Hides secrets in what is logged: in the message, in its arguments, and in the text of an exception."""

    def __init__(self, hide: Hide) -> None:
        super().__init__()
        self._hide = hide

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 — whatever an argument raises when told; whoever logs never hears of it
            message = str(record.msg)
        record.msg, record.args = self._hide(message), None
        if record.stack_info:
            record.stack_info = self._hide(record.stack_info)
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            # Nobody formats the exception again, whose text is still the one with the secret.
            record.exc_text, record.exc_info = self._hide(record.exc_text), None
        return True


class HidingStream(io.TextIOBase):
    """A text stream that hides secrets, line by line, before they reach the one beneath."""

    def __init__(self, beneath: TextIO, hide: Hide) -> None:
        self._beneath, self._hide = beneath, hide
        self._begun = ""
        self._lock = RLock()  # entered again when a finalizer complains in the middle of a line

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the stub has a plain attribute
        return self._beneath.encoding

    def write(self, text: str) -> int:
        with self._lock:
            lines, end, self._begun = (self._begun + text).rpartition("\n")
            if end:
                self._beneath.write(self._hide(lines) + end)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            rest, self._begun = self._begun, ""
            self._beneath.write(self._hide(rest))
            self._beneath.flush()

    def fileno(self) -> int:
        return self._beneath.fileno()

    def isatty(self) -> bool:
        return self._beneath.isatty()

    def writable(self) -> bool:
        return True
