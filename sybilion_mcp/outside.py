"""Text from outside (titles, driver names, file and column names, what services say) as it may stand in an answer.

It is data: shortened, without anything that a terminal, a reader of CSV or Markdown, or a model could take for more
than text, and between quotation marks inside a sentence.
"""

import json
import re
import unicodedata

_MARKUP = re.compile(r"[\[\]<>{}`*#|~\\^]")
_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)
_UNDERSCORE = re.compile(r"_(?!\d{1,3}\b)|(?<!\baux)_")
_NO_IDENTIFIER = re.compile(r"[^A-Za-z0-9_.-]")
_LEADING = re.compile(r"^[^\w(]+")


def clean(text: str, limit: int = 80) -> str:
    """At most `limit` visible characters of outside text on one line: no markup, links, direction marks."""
    if len(text) > 16 * limit:  # however long the text, the work is bounded
        text = text[: 8 * limit] + text[-8 * limit :]
    flat = "".join(_visible(character) for character in text)
    flat = unicodedata.normalize("NFC", flat)
    flat = _UNDERSCORE.sub(" ", _LINK.sub(" ", _MARKUP.sub(" ", flat))).replace('"', "'")
    flat = _LEADING.sub("", " ".join(flat.split()))
    if len(flat) <= limit:
        return flat
    tail = limit // 3  # long names of series differ at their ends
    return f"{flat[: limit - tail - 1].rstrip()}…{flat[-tail:].lstrip()}"


def quoted(text: str, limit: int = 80) -> str:
    """Outside text as it may stand in an answer; also a valid CSV cell."""
    return f'"{clean(text, limit)}"'


def identifier(text: str) -> str:
    """An id as it may stand in a suggested call: the characters of ids, and no others."""
    return _NO_IDENTIFIER.sub("", text)[:80]


def _visible(character: str) -> str:
    """Controls, separators and line ends become a space; format characters (bidi, zero width) vanish."""
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return "" if category.startswith("C") or category == "Me" else character


def visible_json(value: object, *, compact: bool = False) -> str:
    """A value as JSON on one line, where every character that cannot be seen is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    return text if text.isprintable() else "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]
