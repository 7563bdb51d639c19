"""What is written is on disk, and so is its name: fsync of the file, then of its folder."""

import os
import stat
from pathlib import Path

import pytest

from simulator.durable import append, rewrite


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """What was brought to disk: inodes; of folders with the names in them then."""
    found: list[tuple[int, list[str]]] = []
    fsync = os.fsync

    def noting(handle: int) -> None:
        status = os.fstat(handle)
        names = sorted(os.listdir(handle)) if stat.S_ISDIR(status.st_mode) else []
        found.append((status.st_ino, names))
        fsync(handle)

    monkeypatch.setattr("os.fsync", noting)
    return found


def inode(path: Path) -> int:
    return path.stat().st_ino


def test_a_new_file_is_there_with_its_folders(
    tmp_path: Path, synced: list[tuple[int, list[str]]]
) -> None:
    path = tmp_path / "a" / "b" / "file"
    append(path, "one\n")
    assert sorted(synced[:2]) == sorted([(inode(tmp_path / "a"), ["b"]), (inode(tmp_path), ["a"])])
    assert synced[2:] == [(inode(path), []), (inode(path.parent), ["file"])]
    synced.clear()
    append(path, "two\n")
    assert synced == [(inode(path), [])]
    assert path.read_text() == "one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, synced: list[tuple[int, list[str]]]) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    rewrite(path, "after")
    assert synced == [(inode(path), []), (inode(tmp_path), ["file"])]
    assert path.read_text() == "after"
    (tmp_path / "file.new").mkdir()
    with pytest.raises(IsADirectoryError):
        rewrite(path, "never")
    assert path.read_text() == "after"
