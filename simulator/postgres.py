"""Connections to PostgreSQL that are made anew when they break, and that end each wait.

libpq waits for a server for as long as TCP does, and a server that was stopped (SIGSTOP, a
frozen machine) still has a kernel that acknowledges. So each statement has its time, and with
it its connection.
"""

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

_T = TypeVar("_T")

_CONNECT: Final = 3
"""Seconds for each address of the server (``connect_timeout``, unless the URL has another)."""

_LAST: Final = 1.0
"""Seconds that a statement has once the store closes."""

_INTERVAL: Final = 0.1


class NoAnswer(psycopg.OperationalError):
    """The server has not answered in time. Whether it did what it was asked to is unknown."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements have `patience` seconds each, and less once `closing`."""

    patience = 600.0
    closing: threading.Event | None = None

    def wait(
        self,
        gen: Generator[Any, Any, _T],
        interval: float = _INTERVAL,
        timeout: float | None = None,
    ) -> _T:
        """Raises NoAnswer; the connection is closed then."""
        patience = self.patience if timeout is None else min(timeout, self.patience)
        try:
            limited = _limited(gen, patience, self.closing)
            found: _T = super().wait(limited, min(interval, _INTERVAL))
        except NoAnswer:
            self.pgconn.finish()  # nobody is to wait for a ROLLBACK either
            raise
        return found


def _limited(
    gen: Generator[Any, Any, _T], seconds: float, closing: threading.Event | None
) -> Generator[Any, Any, _T]:
    end = time.monotonic() + seconds
    hurry = closing is not None
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready:  # an interval has passed
                now = time.monotonic()
                if hurry and closing is not None and closing.is_set():
                    hurry = False
                    end = min(end, now + _LAST)
                if now >= end:
                    raise NoAnswer("the server does not answer")
            state = gen.send(ready)
    except StopIteration as stop:
        value: _T = stop.value
        return value


class Session:
    """One connection at a time, for one thread at a time, by `conninfo` of libpq.

    `prepare` is called with each new one.
    """

    def __init__(
        self,
        conninfo: str,
        patience: float,
        closing: threading.Event,
        prepare: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        self.conninfo = conninfo
        self._patience = patience
        self._closing = closing
        self._prepare = prepare
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def connection(self) -> Connection:
        """The connection, made if there is none. Raises psycopg.Error."""
        present = self._connection
        if present is None or present.closed:
            # Statements are not kept prepared: poolers in between may not keep them either,
            # and reports are planned better for the values they have.
            present = Connection.connect(self.conninfo, autocommit=True, prepare_threshold=None)
            present.patience = self._patience
            present.closing = self._closing
            try:
                self._prepare(present)
            except BaseException:
                present.close()
                raise
            self._connection = present
        return present

    def run(self, ask: Callable[[Connection], _T]) -> _T:
        """What `ask` returns. It is asked again where the connection had broken meanwhile."""
        with self._lock:
            old = self._connection
            try:
                return ask(self.connection())
            except psycopg.OperationalError as error:
                if old is None or not old.closed or isinstance(error, NoAnswer):
                    raise
            return ask(self.connection())

    def drop(self) -> None:
        """The next one is to have a new connection; by the thread that uses this one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Close the connection once nobody uses it."""
        with self._lock:
            self.drop()


def conninfo_of(url: str) -> str:
    """What libpq takes. Raises ValueError, whose text has nothing of the URL in it."""
    try:
        found = conninfo_to_dict(url)
        ports = str(found.get("port", "")).split(",")
        if "@" in str(found.get("host", "")) or not all(one.isdecimal() for one in ports if one):
            raise psycopg.ProgrammingError("a password that has @ or : as they are")
        found.setdefault("connect_timeout", _CONNECT)
        found.setdefault("application_name", "callsim")
        found["client_encoding"] = "UTF8"
        if "," in str(found.get("host", "")):  # one of them is the primary
            found.setdefault("target_session_attrs", "read-write")
        made: str = make_conninfo("", **found)
    except psycopg.Error:  # its text may show a part of the password
        raise ValueError(
            "not a URL that libpq takes; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with what is special in a part as %XX (%40 for @, %2F for /, %25 for %)"
        ) from None
    return made


def name_of(conninfo: str) -> str:
    """The URL without password and parameters."""
    found = conninfo_to_dict(conninfo)
    user = f"{found['user']}@" if found.get("user") else ""
    hosts = str(found.get("host") or found.get("hostaddr") or "").split(",")
    ports = str(found.get("port") or "").split(",")
    if len(ports) < len(hosts):
        ports *= len(hosts)
    places = ",".join(
        f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)
    )
    return f"postgresql://{user}{places}/{found.get('dbname', '')}"


def refuses(conninfo: str, error: psycopg.OperationalError) -> bool:
    """Whether `error` came because a server that is up does not let us in.

    Not so while it starts or stops, has no connection left, or is a standby: that passes. The
    codes of such errors do not reach us, and their texts are in any language; but libpq says
    whether a server takes connections.
    """
    if error.pgconn is None or isinstance(error, psycopg.errors.ConnectionTimeout):
        return False
    passing = ("too many", "slots are reserved", "read-only", "not in hot standby")
    if any(text in str(error) for text in passing):
        return False
    return bool(PGconn.ping(conninfo.encode()) == Ping.OK)
