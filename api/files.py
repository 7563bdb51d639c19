"""Secrets on disk: files that only their owner may read."""

import os
import tempfile
from pathlib import Path
from typing import Final

PASSWORD_FILE: Final = "password"
"""In the data directory: the first user, as NAME:PASSWORD."""


def write_private(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all, with mode 0600; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_private(path: Path) -> bytes | None:
    """What is in `path`, or None; a mode that lets others read is mended."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return data
