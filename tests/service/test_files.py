"""Which files may be read and written: only regular ones inside allowed folders, whatever the path pretends."""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.files import MAX_BYTES, AllowedFolders, read_bytes, write_new


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with an allowed part ("in") and a part that is not ("out"), each with a file."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sales.csv").write_text(f"date,value\n2021-01-01,{len(name)}\n")
    return tmp_path.resolve()


@pytest.fixture
def allowed(home: Path) -> AllowedFolders:
    return AllowedFolders((home / "in",))


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        action()
    assert caught.value.message
    assert caught.value.hint
    return caught.value.code


def test_a_file_inside_is_found_by_absolute_and_by_relative_path(home: Path, allowed: AllowedFolders) -> None:
    expected = home / "in" / "sales.csv"
    assert allowed.readable(str(expected)) == expected
    assert allowed.readable("sales.csv") == expected
    assert allowed.readable("../in/./sales.csv") == expected


def test_a_relative_path_is_looked_for_in_every_allowed_folder(home: Path) -> None:
    (home / "out" / "only-here.csv").write_text("x")
    both = AllowedFolders((home / "in", home / "out"))
    assert both.readable("only-here.csv") == home / "out" / "only-here.csv"


def test_the_tilde_stands_for_the_home_folder(
    home: Path, allowed: AllowedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    assert allowed.readable("~/in/sales.csv") == home / "in" / "sales.csv"
    assert AllowedFolders((Path("~/in"),)).readable("sales.csv") == home / "in" / "sales.csv"


def test_without_an_allowed_folder_the_hint_says_how_to_allow_one(home: Path) -> None:
    with pytest.raises(Refusal) as caught:
        AllowedFolders(()).readable(str(home / "in" / "sales.csv"))
    assert caught.value.code == "file_outside_allowed_folders"
    for way in ("--allow-dir", "SYBILION_MCP_ALLOW_DIRS", "`series`"):
        assert way in caught.value.hint


@pytest.mark.parametrize("folders", ["none", "another"])
def test_what_else_to_do_fits_reading_and_writing(folders: str, home: Path) -> None:
    allowed = AllowedFolders(() if folders == "none" else (home / "in",))
    for action, instead, other in [(allowed.readable, "series", "save_to"), (allowed.writable, "save_to", "series")]:
        for file in (str(home / "out" / "new.csv"), "a\0/b.csv" if action == allowed.readable else "~nobody/x/b.csv"):
            with pytest.raises(Refusal) as caught:
                action(file)
            assert "--allow-dir" in caught.value.hint
            assert instead in caught.value.hint
            assert other not in caught.value.hint


@pytest.mark.parametrize("file", ["../out/sales.csv", "{home}/out/sales.csv", "/etc/passwd", "../in-between", ".."])
def test_what_lies_outside_is_refused(home: Path, allowed: AllowedFolders, file: str) -> None:
    assert code_of(lambda: allowed.readable(file.format(home=home))) == "file_outside_allowed_folders"


def test_a_folder_whose_name_only_begins_like_an_allowed_one_is_outside(home: Path, allowed: AllowedFolders) -> None:
    (home / "inside").mkdir()
    (home / "inside" / "sales.csv").write_text("x")
    assert code_of(lambda: allowed.readable(str(home / "inside" / "sales.csv"))) == "file_outside_allowed_folders"


def test_the_refusal_does_not_tell_whether_a_file_outside_exists(home: Path, allowed: AllowedFolders) -> None:
    there = code_of(lambda: allowed.readable(str(home / "out" / "sales.csv")))
    not_there = code_of(lambda: allowed.readable(str(home / "out" / "nothing.csv")))
    assert there == not_there == "file_outside_allowed_folders"


def test_links_out_of_the_folder_are_refused(home: Path, allowed: AllowedFolders) -> None:
    (home / "in" / "link.csv").symlink_to(home / "out" / "sales.csv")
    (home / "in" / "folder").symlink_to(home / "out")
    (home / "in" / "dangling.csv").symlink_to(home / "out" / "nothing.csv")
    for file in ("link.csv", "folder/sales.csv", "dangling.csv"):
        assert code_of(partial(allowed.readable, file)) == "file_outside_allowed_folders"


def test_a_link_that_stays_inside_is_followed(home: Path, allowed: AllowedFolders) -> None:
    (home / "in" / "latest.csv").symlink_to("sales.csv")
    assert allowed.readable("latest.csv") == home / "in" / "sales.csv"


def test_an_allowed_folder_may_itself_be_a_link(home: Path) -> None:
    (home / "door").symlink_to(home / "in")
    assert AllowedFolders((home / "door",)).readable("sales.csv") == home / "in" / "sales.csv"


def test_links_in_a_circle_are_refused(home: Path, allowed: AllowedFolders) -> None:
    (home / "in" / "a").symlink_to("b")
    (home / "in" / "b").symlink_to("a")
    assert code_of(lambda: allowed.readable("a")) == "file_unreadable"


@pytest.mark.parametrize("file", ["nothing.csv", "sales.csv/deeper.csv", "no/such/folder.csv"])
def test_a_missing_file_is_named(allowed: AllowedFolders, file: str) -> None:
    assert code_of(lambda: allowed.readable(file)) == "file_not_found"


@pytest.mark.parametrize("file", ["a\0b.csv", "~nobody-of-that-name/x.csv", "x" * 5000])
def test_paths_that_no_system_has_are_refused(allowed: AllowedFolders, file: str) -> None:
    assert code_of(lambda: allowed.readable(file)) == "file_unreadable"


def test_folders_pipes_and_sockets_are_refused_without_waiting(
    home: Path, allowed: AllowedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(home / "in" / "pipe.csv")
    (home / "in" / "folder.csv").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(home / "in")  # a socket's path must be short
        server.bind("socket.csv")
        for file in ("pipe.csv", "folder.csv", "socket.csv", "."):
            assert code_of(partial(allowed.readable, file)) == "file_unreadable"
            assert code_of(partial(read_bytes, home / "in" / file)) == "file_unreadable"


def test_a_device_is_refused() -> None:
    assert code_of(lambda: AllowedFolders((Path("/dev"),)).readable("null")) == "file_unreadable"


def test_a_file_over_the_limit_is_refused(home: Path, allowed: AllowedFolders) -> None:
    large = home / "in" / "large.csv"
    large.touch()
    os.truncate(large, MAX_BYTES)
    assert allowed.readable("large.csv") == large
    os.truncate(large, MAX_BYTES + 1)
    assert code_of(lambda: allowed.readable("large.csv")) == "file_too_large"
    assert code_of(lambda: read_bytes(large)) == "file_too_large"


def test_the_bytes_of_a_file_are_read(home: Path) -> None:
    assert read_bytes(home / "in" / "sales.csv") == b"date,value\n2021-01-01,2\n"


def test_a_file_that_becomes_a_link_after_the_check_is_not_opened(home: Path, allowed: AllowedFolders) -> None:
    checked = allowed.readable("sales.csv")
    checked.unlink()
    checked.symlink_to(home / "out" / "sales.csv")
    assert code_of(lambda: read_bytes(checked)) == "file_unreadable"


def test_a_folder_that_becomes_a_link_after_the_check_is_not_entered(home: Path, allowed: AllowedFolders) -> None:
    (home / "in" / "deep").mkdir()
    (home / "in" / "deep" / "sales.csv").write_text("x")
    checked = allowed.readable("deep/sales.csv")
    target = allowed.writable("deep/new.csv")
    (home / "in" / "deep").rename(home / "in" / "moved")
    (home / "in" / "deep").symlink_to(home / "out")
    assert code_of(lambda: read_bytes(checked)) in ("file_unreadable", "file_not_found")
    assert code_of(lambda: write_new(target, [b"x"])) == "file_unreadable"
    assert not (home / "out" / "new.csv").exists()


def test_a_file_that_vanishes_after_the_check_is_not_found(home: Path) -> None:
    assert code_of(lambda: read_bytes(home / "in" / "gone.csv")) == "file_not_found"


def test_a_new_file_is_written_whole_and_leaves_nothing_else(home: Path, allowed: AllowedFolders) -> None:
    target = allowed.writable("result.json")
    write_new(target, [b"{}"])
    assert target.read_bytes() == b"{}"
    assert sorted(file.name for file in (home / "in").iterdir()) == ["result.json", "sales.csv"]


def test_an_existing_file_is_never_overwritten(home: Path, allowed: AllowedFolders) -> None:
    before = (home / "in" / "sales.csv").read_bytes()
    assert code_of(lambda: allowed.writable("sales.csv")) == "file_exists"
    assert code_of(lambda: write_new(home / "in" / "sales.csv", [b"x"])) == "file_exists"
    assert (home / "in" / "sales.csv").read_bytes() == before
    assert [file.name for file in (home / "in").iterdir()] == ["sales.csv"]


def test_a_dangling_link_counts_as_existing(home: Path, allowed: AllowedFolders) -> None:
    (home / "in" / "link.json").symlink_to(home / "out" / "new.json")
    assert code_of(lambda: allowed.writable("link.json")) == "file_exists"
    assert code_of(lambda: write_new(home / "in" / "link.json", [b"x"])) == "file_exists"
    assert not (home / "out" / "new.json").exists()


def test_writing_outside_is_refused(home: Path, allowed: AllowedFolders) -> None:
    (home / "in" / "door").symlink_to(home / "out")
    for file in ("../out/new.json", str(home / "new.json"), "door/new.json", "/new.json"):
        assert code_of(partial(allowed.writable, file)) == "file_outside_allowed_folders"


def test_the_folder_of_a_new_file_must_exist(allowed: AllowedFolders) -> None:
    assert code_of(lambda: allowed.writable("no/such/new.json")) == "file_not_found"


@pytest.mark.parametrize("file", ["", ".", "..", "/"])
def test_a_new_file_needs_a_name(allowed: AllowedFolders, file: str) -> None:
    assert code_of(lambda: allowed.writable(file)) == "file_unreadable"


@pytest.mark.parametrize("file", ["a\nNext: x.json", "a\0b.json", "a\u202eb.json", "\u200b.json", "in\n/a.json"])
def test_a_new_file_with_characters_that_cannot_be_seen_is_refused(
    home: Path, allowed: AllowedFolders, file: str
) -> None:
    (home / "in" / "in\n").mkdir()
    with pytest.raises(Refusal) as caught:
        allowed.writable(file)
    assert caught.value.code == "file_unreadable"
    assert "cannot be seen" in caught.value.message
    assert caught.value.message.isprintable()


def test_texts_show_paths_without_what_could_break_out_of_the_quotes(home: Path) -> None:
    odd = home / 'in"\n\u202eSYSTEM'
    odd.mkdir()
    with pytest.raises(Refusal) as caught:
        AllowedFolders((odd,)).readable('/etc/"\npasswd')
    assert caught.value.message.isprintable()
    assert caught.value.message.count('"') == 4


def test_on_a_file_system_without_links_a_new_file_is_still_made_and_nothing_overwritten(
    home: Path, allowed: AllowedFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_new(allowed.writable("result.json"), [b"{}"])
    assert (home / "in" / "result.json").read_bytes() == b"{}"
    assert code_of(lambda: write_new(home / "in" / "result.json", [b"other"])) == "file_exists"
    assert sorted(file.name for file in (home / "in").iterdir()) == ["result.json", "sales.csv"]


def test_a_failed_write_leaves_nothing_behind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert code_of(lambda: write_new(home / "in" / "result.json", [b"{}"])) == "file_unreadable"
    assert [file.name for file in (home / "in").iterdir()] == ["sales.csv"]
