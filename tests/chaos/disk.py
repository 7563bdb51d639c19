"""A disk that is small, so that it can be filled."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from scenarios.child import Child

_MOUNT: Final = 'mount -t tmpfs -o size="$0",mode=700 none "$1" && echo mounted && exec sleep 600'
_PIECE: Final = bytes(4096)


class NoDisk(Exception):
    """No file system can be mounted here; the text says why."""


class SmallDisk:
    """A file system of `octets` at `path`, which only those see who are called by `prefix`.

    It is in a mount namespace of its own, which a process holds. Takes root; raises NoDisk.
    """

    def __init__(self, path: Path, octets: int) -> None:
        path.mkdir(parents=True)
        self._path = path
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            raise NoDisk("there is no unshare, or no nsenter (package util-linux)")
        command = ["unshare", "--mount", "sh", "-c", _MOUNT, str(octets), str(path)]
        self._holder = Child(command, path.with_name("mount.log"), piped=True)
        if self._holder.line(10.0) != "mounted":
            self._holder.end()
            raise NoDisk(f"nothing can be mounted: {self._holder.error_text()}")
        self.prefix = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()

    @property
    def inside(self) -> Path:
        """What is on it, for those outside."""
        return Path(f"/proc/{self._holder.pid}/root{self._path}")

    def fill(self) -> None:
        """Leave no room."""
        with suppress(OSError), open(self.inside / "filler", "ab", buffering=0) as file:
            while True:
                file.write(_PIECE)

    def free(self) -> None:
        """The room is there again."""
        os.unlink(self.inside / "filler")

    def copy(self) -> None:
        """What is on it is at the path for everybody."""
        shutil.copytree(self.inside, self._path, dirs_exist_ok=True)
