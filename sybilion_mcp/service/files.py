"""Files of the user's machine: only inside folders that were allowed, opened once, checked by descriptor."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sybilion_mcp.hints import Refusal

MAX_BYTES = 20_000_000
_COPIED_BYTES = 2**20

# Windows has neither of these; there the checks by path have to do.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
_BY_FOLDER = os.open in os.supports_dir_fd

_ALLOW = "Ask the user to start the server with --allow-dir FOLDER (or SYBILION_MCP_ALLOW_DIRS), or "
_TO_READ = f"{_ALLOW}pass the numbers as `series`."
_TO_WRITE = f"{_ALLOW}read it here: leave save_to out."


@dataclass(frozen=True, slots=True)
class AllowedFolders:
    """The folders a caller may read from and write to. There is no default folder."""

    folders: tuple[Path, ...]
    over_http: bool = False

    def readable(self, file: str) -> Path:
        """The resolved path of an existing regular file of at most 20 MB inside an allowed folder.

        Raises Refusal `file_outside_allowed_folders`, `file_not_found`, `file_unreadable`, `file_too_large`.
        """
        refusal: Refusal | None = None
        for path in self._inside(file, _TO_READ):
            try:
                _check_regular(path.name, path.stat())
            except OSError as failure:
                refusal = refusal or _unopened(path.name, failure)
            else:
                return path
        assert refusal is not None  # there is at least one place
        raise refusal

    def writable(self, file: str) -> Path:
        """The resolved path of a file to be made: its folder exists and is allowed, the file does not exist.

        Raises Refusal `file_outside_allowed_folders`, `file_not_found`, `file_exists`, `file_unreadable`.
        """
        if not file.isprintable():
            message = f"{_shown(file)} holds characters that cannot be seen, such as a line end."
            raise Refusal("file_unreadable", message, "Give a path of visible characters.")
        name = Path(file).name
        if name in ("", ".."):
            raise Refusal("file_unreadable", f"{_shown(file)} names no file.", "Give a file name to write to.")
        folders = self._inside(str(Path(file).parent), _TO_WRITE)
        folder = next((candidate for candidate in folders if candidate.is_dir()), None)
        if folder is None:
            raise Refusal(
                "file_not_found",
                f"The folder of {_shown(file)} does not exist.",
                "Make the folder first, or choose another one inside the allowed folders.",
            )
        if os.path.lexists(folder / name):
            raise _exists(name)
        return folder / name

    def _inside(self, file: str, instead: str) -> list[Path]:
        """Every place inside an allowed folder that the text can mean; at least one. `instead`: what else to do."""
        try:
            asked = Path(file).expanduser()
            roots = [folder.expanduser().resolve() for folder in self.folders]
            places = [(root / asked).resolve() for root in roots]
        except (OSError, RuntimeError, ValueError) as failure:  # no home, a loop of links, a NUL
            raise Refusal("file_unreadable", f"{_shown(file)} is no usable path.", instead) from failure
        inside = [place for place in places if any(place.is_relative_to(root) for root in roots)]
        if not inside:
            raise _outside(file, self.folders, instead) if self.folders or not self.over_http else _elsewhere()
        return inside


def read_bytes(path: Path) -> bytes:
    """The content of a path that `readable` returned. No component of it may have become a link since.

    Raises Refusal `file_not_found`, `file_unreadable`, `file_too_large`.
    """
    try:
        with _folder_of(path) as (folder, name):
            opened = os.open(name, os.O_RDONLY | _NO_LINK | _NO_WAIT, dir_fd=folder)
        with os.fdopen(opened, "rb") as file:
            _check_regular(path.name, os.fstat(opened))
            data = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise _unopened(path.name, failure) from failure
    if len(data) > MAX_BYTES:
        raise _too_large(path.name, len(data))
    return data


def write_new(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that does not exist yet, whole or not at all; nothing is ever overwritten.

    Raises Refusal `file_exists`, `file_unreadable` (the folder cannot be written to).
    """
    try:
        with _folder_of(path) as (folder, name):
            draft = f"{name[: -len(path.name)]}.{secrets.token_hex(8)}.part"
            try:
                _write(draft, pieces, folder)
                _publish(draft, name, folder)
            finally:
                _remove(draft, folder)
    except FileExistsError as failure:
        raise _exists(path.name) from failure
    except OSError as failure:
        raise Refusal(
            "file_unreadable",
            f"{_shown(path.name)} cannot be written: {failure.strerror or 'the system refused'}.",
            "Choose another folder inside the allowed folders.",
        ) from failure


def _publish(draft: str, name: str, folder: int | None) -> None:
    """Give the finished draft its name; a hard link, unlike a rename, fails when the name is taken."""
    try:
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as failure:
        if failure.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        with os.fdopen(os.open(draft, os.O_RDONLY | _NO_LINK | _NO_WAIT, dir_fd=folder), "rb") as file:
            written = iter(lambda: file.read(_COPIED_BYTES), b"")
            _write(name, written, folder)  # a file system without hard links, such as exFAT


def _write(name: str, pieces: Iterable[bytes], folder: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
    opened = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        with os.fdopen(opened, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(opened)
    except BaseException:  # the pieces may fail too
        _remove(name, folder)
        raise


def _remove(name: str, folder: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _folder_of(path: Path) -> Iterator[tuple[int | None, str]]:
    """The folder of a resolved path as a descriptor, reached without following a link, and the name in it.

    Where the system has no descriptors for folders, None and the whole path.
    """
    if not _BY_FOLDER:
        yield None, str(path)
        return
    folder = os.open(path.anchor, os.O_RDONLY | _FOLDER | _NO_LINK)
    try:
        for part in path.parts[1:-1]:
            deeper = os.open(part, os.O_RDONLY | _FOLDER | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = deeper
        yield folder, path.name
    finally:
        os.close(folder)


def _check_regular(name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise Refusal("file_unreadable", f"{_shown(name)} is {kind}.", "Name a file: .csv, .xlsx or .parquet.")
    if found.st_size > MAX_BYTES:
        raise _too_large(name, found.st_size)


def _too_large(name: str, size: int) -> Refusal:
    return Refusal(
        "file_too_large",
        f"{_shown(name)} has {size / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read.",
        "Keep only the date column and the value column, or pass the numbers as `series`.",
    )


def _unopened(name: str, failure: OSError) -> Refusal:
    if isinstance(failure, FileNotFoundError | NotADirectoryError):
        return Refusal("file_not_found", f"{_shown(name)} does not exist.", "Check the name and the folder.")
    reason = failure.strerror or "the system refused"
    return Refusal("file_unreadable", f"{_shown(name)} cannot be opened: {reason}.", _TO_READ)


def _exists(name: str) -> Refusal:
    return Refusal(
        "file_exists",
        f"{_shown(name)} exists already; nothing is overwritten.",
        "Choose another name.",
    )


def _elsewhere() -> Refusal:
    return Refusal(
        "file_outside_allowed_folders",
        "The server is reached over HTTP and uses no files.",
        "Pass the numbers as `series`, and read results without save_to.",
    )


def _outside(file: str, folders: tuple[Path, ...], instead: str) -> Refusal:
    if not folders:
        return Refusal("file_outside_allowed_folders", "No folder is allowed, so no file can be used.", instead)
    names = ", ".join(_shown(str(folder)) for folder in folders[:3])
    more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
    return Refusal(
        "file_outside_allowed_folders",
        f"{_shown(file)} is not inside an allowed folder ({names}{more}).",
        instead,
    )


def _shown(file: str) -> str:
    """A path as a caller wrote it, in quotes, without what could break a line or end the quotes."""
    text = "".join(letter for letter in file if letter.isprintable() and letter != '"')
    return f'"{text}"' if len(text) <= 80 else f'"…{text[-79:]}"'
