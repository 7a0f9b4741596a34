"""What kind of file something is: by the ending of its name, as far as its first bytes do not say otherwise."""

from collections.abc import Mapping

HEAD_BYTES = 1024
"""That are looked at."""
JSON, BINARY = "application/json", "application/octet-stream"
TEXTS = frozenset({"text/csv", JSON, "text/markdown", "text/plain"})
"""What may be read as text; HTML and SVG are documents, which a program opens."""

MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv",
    "json": JSON,
    "md": "text/markdown",
    "markdown": "text/markdown",
    "txt": "text/plain",
    "html": "text/html",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "pdf": "application/pdf",
}
"""Ending of a name, or format of an artifact → its type."""
_SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
)
_LONGEST_CHARACTER = 4  # bytes; the last one may be cut


def media_type(name: str, head: bytes) -> str:
    """The media type of a file from its name and its first bytes."""
    head = head[:HEAD_BYTES]
    signed = next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)
    if signed or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return signed or "image/webp"
    if not _is_text(head):
        return BINARY
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith((b"<svg", b"<?xml")):
        return "image/svg+xml" if b"<svg" in start else BINARY
    named = MEDIA_TYPES.get(name.rpartition(".")[2].lower() if "." in name else "")
    if named in TEXTS or named in ("text/html", "image/svg+xml"):
        return named
    return BINARY if named else "text/html" if start.startswith(b"<") else "text/plain"


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == HEAD_BYTES and error.start > len(head) - _LONGEST_CHARACTER
    return b"\x00" not in head
