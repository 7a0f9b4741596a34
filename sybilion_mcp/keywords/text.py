"""Words in one normal form: no case, no accents, singular, British spelling."""

import re
import unicodedata
from collections.abc import Mapping

_WORD = re.compile(r"[^\W_]+")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_KEEPS_ITS_S = ("ss", "us", "is")
_DROPS_ES = ("sses", "xes", "ches", "shes")


def raw_words(text: str) -> list[str]:
    """The words as written, without accents: "U.S. Öl-Preise" → ["US", "Ol", "Preise"]."""
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    if "." in text:
        text = _INITIALS.sub(lambda match: match.group().replace(".", "") + " ", text)
    return _WORD.findall(text)


def words(text: str, spelling: Mapping[str, str]) -> tuple[str, ...]:
    """The words in normal form; `spelling` maps a word to the one spelling used here."""
    return tuple([normal(word, spelling) for word in raw_words(text)])


def normal(word: str, spelling: Mapping[str, str]) -> str:
    """One word in normal form: "Tires" → "tyre"."""
    folded = word.casefold()
    if folded in spelling:
        return spelling[folded]
    singular = _singular(folded)
    return spelling.get(singular, singular)


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(_KEEPS_ITS_S):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word
    return word[:-2] if word.endswith(_DROPS_ES) else word[:-1]
