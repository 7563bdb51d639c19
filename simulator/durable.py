"""Files that are on disk when a function returns, their names in the folder too (fsync(2))."""

import os
from pathlib import Path

PRIVATE = 0o600
"""The mode of files that their owner alone may read."""


def read(path: Path) -> str:
    """What is in a file of text, "" where there is none. Raises OSError."""
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def append(path: Path, text: str) -> None:
    """Write to the end of a file, which is made PRIVATE where it is not there. Raises OSError."""
    _make_folder(path.parent)
    new = not path.exists()
    _write(path, text, os.O_APPEND, PRIVATE)
    if new:
        _sync_folder(path.parent)


def rewrite(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Write a file anew, or leave it as it is. Raises OSError."""
    _make_folder(path.parent)
    beside = path.with_name(f"{path.name}.new")
    _write(beside, text, os.O_TRUNC, mode)
    os.replace(beside, path)
    _sync_folder(path.parent)


def _write(path: Path, text: str, how: int, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | how, mode)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
