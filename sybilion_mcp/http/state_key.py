"""The key that seals what a client carries from one round of a call to the next: one for all processes of a folder."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

_BYTES = 32


def state_key(home: Path) -> str:
    """The key in `home`, made when there is none yet; readable for this user only. Raises `OSError`."""
    path = home / "request-state.key"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        return _read(path)
    draft = home / f"request-state.{secrets.token_hex(8)}.part"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(_BYTES))
    try:
        with suppress(FileExistsError):  # another process was first
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    return _read(path)


def _read(path: Path) -> str:
    key = path.read_text().strip()
    if len(key) < 2 * _BYTES:
        raise OSError(f"{path} holds no key; remove it")
    return key
