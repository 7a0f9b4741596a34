"""What kind of file something is: its content says so where its name does not, or lies."""

import pytest

from sybilion_mcp.contract.media import BINARY, HEAD_BYTES, media_type


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("table.csv", b"a,b\n1,2\n", "text/csv"),
        ("TABLE.CSV", b"a,b", "text/csv"),
        ("job.json", b'{"a": 1}', "application/json"),
        ("report.md", "# Größe".encode(), "text/markdown"),
        ("report", b"# A report", "text/plain"),
        ("report", b"<!DOCTYPE html><p>", "text/html"),
        ("report", b"\xef\xbb\xbf <HTML>", "text/html"),
        ("report.html", b"<p>A report</p>", "text/html"),
        ("table.csv", b"<html><script>", "text/html"),
        ("plot", b'<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        ("plot.svg", b'<?xml version="1.0"?><svg>', "image/svg+xml"),
        ("feed", b'<?xml version="1.0"?><rss>', BINARY),
        ("plot.svg", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("plot", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("plot", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("report", b"%PDF-1.7", "application/pdf"),
        ("table.csv", b"PK\x03\x04", "application/zip"),
        ("table.csv", b"a\x00b", BINARY),
        ("table.csv", b"\xff\xfea\x00", BINARY),
        ("plot.png", b"no picture", BINARY),
        ("nothing", b"", "text/plain"),
        ("long.csv", b"a" * (HEAD_BYTES - 1) + "ß".encode(), "text/csv"),
    ],
)
def test_the_type_of_a_file(name: str, content: bytes, kind: str) -> None:
    assert media_type(name, content) == kind
