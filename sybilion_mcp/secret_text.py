"""What a secret looks like in a text, and the text without it.

A secret is found in any case, and as URIs, JSON, logs and Python write it: percent-encoded or escaped, also twice.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import unquote

HIDDEN = "[token]"
_BEGINS = "sk_ops_"
_SHORTEST = 8  # characters of a configured secret; what is shorter is none, and would be found everywhere
_READ_CLOSELY = 256 * 1024  # characters; in what is longer a secret is found as it is written, in any case
_LONGEST_FORM = 28  # bytes that one character takes at most, in the longest of the forms below
_HEX = "[0-9A-Fa-f]"
_PERCENT = "%(?:25){0,2}"
_ESCAPE = r"\\\\{0,3}"
_ESCAPE_TAKEN = r"\\{0,4}"  # after backslashes, which may have been read together with those of the escape
_WORD = f"[A-Za-z0-9_-]|(?:{_PERCENT}|{_ESCAPE}u00)(?:2[dD]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9aA]|5[fF])"
# "disk_ops_monthly" is a word; what follows %20 or \n is the beginning of one.
_ALONE = rf"(?:(?<![A-Za-z0-9])|(?<=%{_HEX}{{2}})|(?<=\\[nrtbf])|(?<=\\u{_HEX}{{4}}))"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)
_PERCENT_ENCODED = re.compile(f"%{_HEX}{{2}}")


def looks_like_one(secret: str) -> bool:
    """Whether it is found by its looks, so that it need not be known."""
    return _LOOKS_LIKE_ONE.fullmatch(secret) is not None


class Secrets:
    """Whatever looks like a token of the Sybilion API, and the secrets that this server was given."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        told = {part for one in given for part in (one.strip(), *one.split())}
        self.given = tuple(sorted((one for one in told if len(one) >= _SHORTEST), key=len, reverse=True))
        self._hints = (_BEGINS, *(one.lower() for one in self.given))

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        """One for each, so that the search leaps to where a secret may begin."""
        return [re.compile(_in_any_form(one)) for one in self.given]

    def within(self, value: object) -> bool:
        """Whether a secret stands anywhere in a JSON value, be it as the name of something."""
        text = "\n".join(_texts(value))
        return self._plainly(text) or any(map(self._plainly, _read_otherwise(_with_more_to_read(text))))

    def _plainly(self, text: str) -> bool:
        if len(text) > _READ_CLOSELY:  # whoever chooses text and key could make the patterns take their time
            lowered = text.lower()
            return any(one in lowered for one in self._hints[1:]) or _LOOKS_LIKE_ONE.search(text) is not None
        return self._may_hold_one(text) and any(one.search(text) for one in (*self._patterns, _LOOKS_LIKE_ONE))

    def _may_hold_one(self, text: str) -> bool:
        """Almost always not, which is found out much faster."""
        lowered = text.lower()
        if "\\" in text or _PERCENT_ENCODED.search(text) is not None:
            return True
        return any(one in lowered for one in self._hints)

    def hide(self, text: str) -> str:
        """The text with every secret replaced; decoded and in ordinary letters where that is how one is found."""
        text = self._without(text)
        disguised = (read for read in _read_otherwise(text) if self._plainly(read))
        found = next(disguised, None)
        return text if found is None else self._without(found)

    def _without(self, text: str) -> str:
        for one in (*self._patterns, _LOOKS_LIKE_ONE) if self._may_hold_one(text) else ():
            text = one.sub(HIDDEN, text)
        return text

    def hidden(self, value: dict[str, Any]) -> dict[str, Any]:
        """The same JSON object with every secret in it replaced."""
        return {self.hide(name): self._hidden(one) for name, one in value.items()}

    def _hidden(self, value: object) -> object:
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return self.hidden(value)
        return [self._hidden(one) for one in value] if isinstance(value, list | tuple) else value


class Mask:
    """Covers the given secrets in bytes that come in pieces, wherever the pieces part; as many bytes go out.

    A secret of digits alone is left: it could be a number of an artifact, which would not be readable any more.
    """

    def __init__(self, secrets: Secrets) -> None:
        given = [one for one in secrets.given if not one.isdecimal()]
        pattern = "|".join(map(_in_any_form, given)).encode(errors="surrogatepass")
        self._pattern = re.compile(pattern) if given else None
        self._reach = _LONGEST_FORM * max(map(len, given), default=0)
        self._held = b""

    def add(self, piece: bytes) -> bytes:
        """What is sure by now: everything but the end, where a secret may have begun."""
        return self._passed(self._held + piece, self._reach) if self._pattern else piece

    def rest(self) -> bytes:
        """Nothing more comes."""
        return self._passed(self._held, 0)

    def whole(self, content: bytes) -> bytes:
        return self._pattern.sub(_covered, content) if self._pattern else content

    def _passed(self, content: bytes, reach: int) -> bytes:
        sure, passed = max(len(content) - reach, 0), 0
        parts = []
        for found in self._pattern.finditer(content) if self._pattern else ():
            if found.start() >= sure:
                break
            parts += [content[passed : found.start()], _covered(found)]
            passed = found.end()
        sure = max(sure, passed)
        self._held = content[sure:]
        return b"".join([*parts, content[passed:sure]])


def _covered(found: re.Match[bytes]) -> bytes:
    return HIDDEN.encode().ljust(len(found[0]), b"*")


def _texts(value: object) -> list[str]:
    texts, unseen = [], [value]
    for one in unseen:  # grows meanwhile
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, dict):
            unseen += one
            unseen += one.values()
        elif isinstance(one, (list, tuple)):
            unseen += one
    return texts


def _with_more_to_read(text: str) -> str:
    """The lines that can be read otherwise as well: few of them in almost every text."""
    if text.isascii() and "%" not in text:
        return ""
    return "\n".join([line for line in text.split("\n") if "%" in line or not line.isascii()])


def _read_otherwise(text: str) -> Iterator[str]:
    """The text percent-decoded, and without what cannot be seen and letters of another shape."""
    for _ in range(3):
        if not text.isascii():
            yield _BEYOND_ASCII.sub(_in_ordinary_letters, text)
        if not _PERCENT_ENCODED.search(text):
            return
        text = unquote(text)
        yield text


def _in_ordinary_letters(found: re.Match[str]) -> str:
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", found[0]))


def _in_any_form(secret: str) -> str:
    """A pattern in which each character may be of either case, percent-encoded or escaped.

    Its first character begins with a literal whatever its form: that is what makes the search fast.
    """
    parts = []
    for backslashes, character in re.findall(r"(\\*)([^\\]|$)", secret):
        after = _after_a_row if backslashes else _one_of
        parts += [_in_a_row(backslashes)] if backslashes else []
        parts += [after(character)] if character else []
    return "".join(parts)


def _one_of(character: str) -> str:
    return f"(?:{'|'.join(_forms(character, _ESCAPE))})"


def _after_a_row(character: str) -> str:
    """Also read in one way only; its plain form comes last, as others may begin with it."""
    return f"(?>{'|'.join(reversed(list(_forms(character, _ESCAPE_TAKEN))))})"


def _in_a_row(backslashes: str) -> str:
    """However many escape them: read in one way only, as otherwise a search could take for ever."""
    count, forms = len(backslashes), f"{_PERCENT}5[cC]|{_ESCAPE}(?:u00|x)5[cC]|\\\\"
    return f"(?>(?>{forms}){{{count},{4 * count}}})"


def _forms(character: str, escape: str) -> Iterator[str]:
    for one in dict.fromkeys((character, character.lower(), character.upper())):
        yield re.escape(one)
        if not one.isalnum():
            yield escape + re.escape(one)
        yield "".join(_PERCENT + _hex(f"{byte:02x}") for byte in one.encode(errors="surrogatepass"))
        units = one.encode("utf-16-be", "surrogatepass")
        yield "".join(f"{escape}u{_hex(units[at : at + 2].hex())}" for at in range(0, len(units), 2))
        if len(one) == 1 and ord(one) < 256:
            yield f"{escape}x{_hex(f'{ord(one):02x}')}"


def _hex(digits: str) -> str:
    return "".join(one if one.isdecimal() else f"[{one}{one.upper()}]" for one in digits)


_LOOKS_LIKE_ONE = re.compile(
    f"{_ALONE}(?:[sS]|(?:{_PERCENT}|{_ESCAPE}u00)[57]3){_in_any_form(_BEGINS[1:])}(?:{_WORD}){{4,}}"
)
