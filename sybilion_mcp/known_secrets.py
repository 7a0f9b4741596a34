"""The secrets that this process was given: none goes into an answer, into a log, or to stderr."""

import logging
import sys
from collections.abc import Iterable

from sybilion_mcp.secret_output import HidingFilter, HidingStream
from sybilion_mcp.secret_text import Secrets

_known = [Secrets()]


def hide_known(text: str) -> str:
    """The text without what looks like a token, and without every secret this process was told to keep."""
    return _known[0].hide(text)


_FILTER = HidingFilter(hide_known)


def keep_secret(secrets: Iterable[str]) -> None:
    """From now on none of these, and nothing that looks like a token, is told by this process.

    Not by text from outside in answers, by the log handlers there are, nor by what bypasses logging: tracebacks,
    warnings, and exceptions in threads and finalizers.
    """
    _known[0] = Secrets({*_known[0].given, *secrets})
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    for handler in {handler for one in (logging.root, *loggers) for handler in one.handlers} | {logging.lastResort}:
        if handler is not None:
            handler.addFilter(_FILTER)
    if sys.stderr is not None and not isinstance(sys.stderr, HidingStream):  # None in a program without a console
        sys.stderr = HidingStream(sys.stderr, hide_known)
