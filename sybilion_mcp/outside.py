"""Text from outside (titles, driver names, file and column names, what services say) as it may stand in an answer.

It is data: shortened, without anything that a terminal, a reader of CSV or Markdown, or a model could take for more
than text, and between quotation marks inside a sentence.
"""

import json
import re
import unicodedata
from collections.abc import Iterator

from sybilion_mcp.known_secrets import hide_known

_MARKUP = re.compile(r"[\[\]<>{}`*#|~\\^@]|&(?=\w+;)")
_UNDERSCORE = re.compile(r"_(?!\d{1,3}\b)|(?<!\baux)_")
_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)
_SCHEME = re.compile(r"(?<=[A-Za-z]):(?=[^\s…])")
_DOMAIN = re.compile(r"(?<=[\w)])\.(?=[^\W\d_]{2})")
QUOTE = re.compile('["“”„‟«»〝〞〟❝❞]')
_HIDDEN = re.compile(  # fillers, blanks and selectors, which Unicode calls letters, marks or symbols
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_FOLDED = ("<wide>", "<narrow>", "<small>", "<vertical>", "<font>", "<circle>")  # other shapes of ordinary characters
_DOTS = "\u2024\u3002\uff61"  # what browsers take for the dot of a domain
_MOST_MARKS = 3  # on one letter; no script needs more
_HOST = re.compile(r"www\.+", re.IGNORECASE)
_LONGEST_ID = 2000
_NO_IDENTIFIER = re.compile(r"[^A-Za-z0-9_.-]")
_LEADING = re.compile(r"^[^\w(]+")


def clean(text: str, limit: int = 80) -> str:
    """At most `limit` visible characters of outside text on one line: no markup, links, direction marks, secrets."""
    text = hide_known(text)  # whole and as it was written: what is cut or cleaned is not found any more
    if len(text) > 16 * limit:  # however long the text, the work is bounded
        text = text[: 8 * limit] + text[-8 * limit :]
    flat = _flat(text)
    if len(flat) <= limit:
        return flat
    tail = limit // 3  # long names of series differ at their ends
    return _flat(f"{flat[: limit - tail - 1].rstrip()}…{flat[-tail:].lstrip()}")


def quoted(text: str, limit: int = 80) -> str:
    """Outside text as it may stand in an answer; also a valid CSV cell."""
    return f'"{clean(text, limit)}"'


def identifier(text: str) -> str:
    """An id as it may stand in a suggested call: the characters of ids, and no others."""
    bare = _NO_IDENTIFIER.sub("", hide_known(text[:_LONGEST_ID]))
    return _HOST.sub("www", _NO_IDENTIFIER.sub("", hide_known(bare)))[:80]


def _flat(text: str) -> str:
    """One line of words: what could be taken for more becomes a space, or is parted from what follows by one."""
    seen = unicodedata.normalize("NFC", "".join(map(visible, text)))
    flat = _UNDERSCORE.sub(" ", _MARKUP.sub(" ", hide_known("".join(_few_marks(seen)))))
    flat = _DOMAIN.sub(". ", _SCHEME.sub(": ", _LINK.sub(" ", flat)))
    return _LEADING.sub("", " ".join(QUOTE.sub("'", flat).split()))


def visible(character: str) -> str:
    """Controls, separators and line ends become a space; format characters (bidi, zero width) vanish."""
    if character.isascii() and character.isprintable():
        return character
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    if category.startswith("C") or category == "Me" or _HIDDEN.match(character):
        return ""
    if category == "Pc":
        return "_"
    if character in _DOTS:
        return "."
    folds = unicodedata.decomposition(character).startswith(_FOLDED)
    return unicodedata.normalize("NFKC", character) if folds else character


def _few_marks(text: str) -> Iterator[str]:
    """The text without the marks that would climb out of their line."""
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) == "Mn" else 0
        if marks <= _MOST_MARKS:
            yield character


def visible_json(value: object, *, compact: bool = False) -> str:
    """A value as JSON on one line, where every character that cannot be seen is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    if text.isprintable() and not _HIDDEN.search(text):
        return text
    return "".join(one if one.isprintable() and not _HIDDEN.match(one) else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def sendable(value: object) -> object:
    """The same JSON without halves of surrogate pairs, which no answer can carry: each becomes a question mark."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
