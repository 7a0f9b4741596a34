"""Secrets: an API token, pasted or configured, goes nowhere. Not into a tool, not into an answer, not into a log."""

import logging
import re
from collections.abc import Iterable
from typing import Any

HIDDEN = "[token]"
_BEGINS = "sk_ops_"
_LOOKS_LIKE_ONE = "(?<![A-Za-z0-9])" + _BEGINS + "[A-Za-z0-9_-]{4,}"  # "disk_ops_monthly" is a word
_SHORTEST = 8  # characters of a configured secret; what is shorter is none, and would be found everywhere


class Secrets:
    """Whatever looks like a token of the Sybilion API, and the secrets that this server was given."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given = sorted({one for one in given if len(one) >= _SHORTEST}, key=len, reverse=True)
        self._any = re.compile("|".join([*map(re.escape, self._given), _LOOKS_LIKE_ONE]))
        self._shortest = min(map(len, (*self._given, _BEGINS + 4 * "x")))

    def within(self, value: object) -> bool:
        """Whether a secret stands anywhere in a JSON value, be it as the name of something."""
        unseen = [value]
        while unseen:
            one = unseen.pop()
            if isinstance(one, str):
                if len(one) >= self._shortest and self._in_text(one):
                    return True
            elif isinstance(one, dict):
                unseen += one.keys()
                unseen += one.values()
            elif isinstance(one, list | tuple):
                unseen += one
        return False

    def _in_text(self, text: str) -> bool:
        if any(one in text for one in self._given):
            return True
        return _BEGINS in text and self._any.search(text) is not None

    def hide(self, text: str) -> str:
        return self._any.sub(HIDDEN, text)

    def hidden(self, value: dict[str, Any]) -> dict[str, Any]:
        """The same JSON object with every secret in it replaced."""
        return {self.hide(name): self._hidden(one) for name, one in value.items()}

    def _hidden(self, value: object) -> object:
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return self.hidden(value)
        return [self._hidden(one) for one in value] if isinstance(value, list | tuple) else value


class HidingFilter(logging.Filter):
    """Hides secrets in what is logged: in the message, in its arguments, and in the text of an exception."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()
        self._secrets = Secrets()

    def know(self, secrets: Iterable[str]) -> None:
        self._known |= set(secrets)
        self._secrets = Secrets(self._known)

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit; logging itself never raises for it
            message = str(record.msg)
        record.msg, record.args = self._secrets.hide(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            # Nobody formats the exception again, whose text is still the one with the secret.
            record.exc_text, record.exc_info = self._secrets.hide(record.exc_text), None
        return True


_FILTER = HidingFilter()


def hide_from_logs(secrets: Iterable[str]) -> None:
    """From now on none of these, and nothing that looks like a token, is written by the handlers there are."""
    _FILTER.know(secrets)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_FILTER)
