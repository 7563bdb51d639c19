"""Where the tests of the store of records keep them: a file of SQLite, a database of PostgreSQL."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from simulator.backlog import Done, Notify
from simulator.cdr import SqliteCdrStore
from simulator.cdr_records import CdrRecord, to_row
from simulator.cdr_store import CdrStore
from simulator.journal import Journal
from tests.support.postgres import Cluster


class SqlitePlace:
    """A file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "data" / "cdr.sqlite"

    def open(
        self, notify: Notify, journal: Journal | None = None, *, gather: float = 0.032
    ) -> CdrStore:
        """The store of it."""
        return SqliteCdrStore(self.path, notify, journal, gather=gather)

    def fault(self, text: str) -> Exception:
        """What a commit raises that fails through no fault of a record."""
        return sqlite3.OperationalError(text)

    def count(self) -> int:
        """How many records somebody else sees."""
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=0)) as other:
            return int(other.execute("SELECT count(*) FROM cdr").fetchone()[0])


class PostgresPlace:
    """A database of `cluster`."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        self.cluster = cluster
        self.database = database
        self.url = cluster.url(database)

    def open(
        self, notify: Notify, journal: Journal | None = None, *, gather: float = 0.032
    ) -> CdrStore:
        """The store of it."""
        from simulator.cdr_postgres import PostgresCdrStore

        return PostgresCdrStore(self.url, notify, journal, gather=gather)

    def fault(self, text: str) -> Exception:
        """What a commit raises that fails through no fault of a record."""
        import psycopg

        made: Exception = psycopg.OperationalError(text)
        return made

    def count(self) -> int:
        """How many records somebody else sees."""
        ((found,),) = self.cluster.execute(self.database, "SELECT count(*) FROM cdr")
        assert isinstance(found, int)
        return found


Place = SqlitePlace | PostgresPlace


def run(callables: list[Done]) -> None:
    """A `notify` that calls at once."""
    for done in callables:
        done()


def fill(place: Place, records: Iterable[CdrRecord]) -> None:
    """Store these, in this order."""
    with place.open(run) as store:
        for one in records:
            store.submit(to_row(one))
        assert store.close() == 0
