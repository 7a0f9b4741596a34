"""The secrets of this process: none goes into an answer, into a log, or to stderr.

Keys that callers bring over HTTP are kept out of logs and stderr only: whoever makes one up, as an ordinary word, would
otherwise change what the others are answered. What a caller is answered is without that caller's own key by the desk's
secrets.
"""

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable

from sybilion_mcp.secret_output import HidingFilter, HidingStream
from sybilion_mcp.secret_text import HIDDEN, Secrets

_known = [Secrets()]
_callers: Counter[str] = Counter()  # the key → how many desks use it
_written: list[tuple[str, ...]] = [()]  # these keys as logs write them, the longest first


def hide_known(text: str) -> str:
    """The text without what looks like a token, and without every secret this process was told to keep."""
    return _known[0].hide(text)


def hide_logged(text: str) -> str:
    """The same for logs and stderr, without callers' keys. They may be many: no pattern is made of them."""
    text = hide_known(text)
    for one in _written[0]:
        text = text.replace(one, HIDDEN)
    return text


_FILTER = HidingFilter(hide_logged)


def keep_callers(keys: Iterable[str]) -> None:
    """From now on none of these is logged, until `let_callers_go` was told of them as often."""
    _callers.update(keys)
    _written[0] = _as_written(_callers)
    _cover()


def let_callers_go(keys: Iterable[str]) -> None:
    """A desk does not use these any more."""
    _callers.subtract(keys)
    for one in [one for one, desks in _callers.items() if desks <= 0]:
        del _callers[one]
    _written[0] = _as_written(_callers)


def _as_written(keys: Iterable[str]) -> tuple[str, ...]:
    forms = {form for one in keys for form in (one, repr(one)[1:-1], json.dumps(one)[1:-1])}
    return tuple(sorted(forms, key=len, reverse=True))


def keep_secret(secrets: Iterable[str]) -> None:
    """From now on none of these, and nothing that looks like a token, is told by this process.

    Not by text from outside in answers, by the log handlers there are, nor by what bypasses logging: tracebacks,
    warnings, and exceptions in threads and finalizers.
    """
    both = {*_known[0].given, *secrets}
    if both != set(_known[0].given):
        _known[0] = Secrets(both)
    _cover()


def _cover() -> None:
    """See to it that nothing is logged or written to stderr as it is."""
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    for handler in {handler for one in (logging.root, *loggers) for handler in one.handlers} | {logging.lastResort}:
        if handler is not None:
            handler.addFilter(_FILTER)
    if sys.stderr is not None and not isinstance(sys.stderr, HidingStream):  # None in a program without a console
        sys.stderr = HidingStream(sys.stderr, hide_logged)
