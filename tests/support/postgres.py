"""A cluster of PostgreSQL for tests, made by Debian's binaries in a folder of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, Self

from scenarios.runner import free_port

USER: Final = "callsim"
PASSWORD: Final = "c@ll/sim"
_QUOTED: Final = "c%40ll%2Fsim"


def binaries() -> Path | None:
    """Where initdb is: on the path, or where Debian has it, the latest version first."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    paths = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    latest = max(paths, key=lambda path: float(path.parts[-3]), default=None)
    return latest.parent if latest is not None else None


class Cluster:
    """A server on a port of 127.0.0.1 of its own, which wants a password there, and none on its
    Unix socket; it runs once this is made. As a context manager it ends at the end.

    As root it runs as another user, since initdb refuses root. With `durable`, a commit is on
    disk, as it is by default elsewhere.
    """

    def __init__(self, *, durable: bool = False) -> None:
        found = binaries()
        assert found is not None, "PostgreSQL is not installed: make tools"
        self._bin = found
        self.folder = Path(tempfile.mkdtemp(prefix="callsim-pg-"))
        self.port = free_port()
        self._numbers = count(1)
        self._user: str | None = None
        if os.getuid() == 0:
            there = {one.pw_name for one in pwd.getpwall()}
            self._user = "postgres" if "postgres" in there else "nobody"
            shutil.chown(self.folder, self._user)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        try:
            self._run(
                [
                    *["initdb", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"],
                    *["--username", USER, "--pwfile", str(secret), "--encoding=UTF8"],
                    *["--locale=C.UTF-8", "--pgdata", str(self._data)],
                ]
            )
            settings = {
                "unix_socket_directories": f"'{self.folder}'",
                "listen_addresses": "'127.0.0.1'",
                "port": self.port,
                "fsync": "on" if durable else "off",
                "full_page_writes": "on" if durable else "off",
                "shared_buffers": "'16MB'",
                "max_connections": 50,
            }
            with (self._data / "postgresql.conf").open("a") as file:
                file.writelines(f"{name} = {value}\n" for name, value in settings.items())
            self.start()
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, command: Sequence[str]) -> None:
        program, *rest = command
        subprocess.run(
            [self._bin / program, *rest],
            user=self._user,
            extra_groups=[] if self._user else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self.stop("immediate")
        shutil.rmtree(self.folder)

    # The server.

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return (self._data / "postmaster.pid").exists()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = str(self.folder / "log")
        self._run(["pg_ctl", "start", "--wait", "--silent", "-D", str(self._data), "-l", log])

    def stop(self, mode: str = "fast") -> None:
        """Stop it: fast ends connections, immediate is a crash."""
        if self.running:
            self._run(["pg_ctl", "stop", "--wait", "--silent", "-D", str(self._data), "-m", mode])

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """It and all its processes do nothing any more, and connections to it stay up."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            return
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            with suppress(ProcessLookupError):  # it ends as it goes on
                os.kill(one, number)

    # Databases.

    def url(self, database: str, *, user: str = USER, password: str | None = _QUOTED) -> str:
        """How to reach a database over TCP; `password` as a URL has it."""
        secret = "" if password is None else f":{password}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def database(self, like: str | None = None) -> str:
        """The name of a new one, empty or with what that other one has."""
        name = f"test{next(self._numbers)}"
        template = "template0" if like is None else like
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def execute(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as another client would; its rows, if it has some."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), port=self.port, user=USER, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description is not None else []
