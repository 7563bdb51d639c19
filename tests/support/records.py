"""A store of records in memory that reports can be asked of."""

import sqlite3
from collections.abc import Callable, Iterable

from simulator import cdr_queries as queries
from simulator.cdr_csv import CsvPiece, csv_piece
from simulator.cdr_pages import page
from simulator.cdr_records import COLUMNS, CdrRecord, to_row
from simulator.cdr_schema import catch_up, prepare


def table_of(records: Iterable[CdrRecord]) -> sqlite3.Connection:
    """A database in memory as the real store makes it, with `records` in it."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    prepare(connection, ":memory:")
    marks = ", ".join("?" * len(COLUMNS))
    insert = f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    connection.execute("BEGIN")
    connection.executemany(insert, map(to_row, records))
    connection.execute("COMMIT")
    catch_up(connection)
    return connection


class RecordsInMemory:
    """Answers reports from `records`, by the queries of the real store."""

    def __init__(self, records: Iterable[CdrRecord] = ()) -> None:
        self.records = list(records)
        self._made: tuple[list[int], sqlite3.Connection] | None = None

    def table(self) -> sqlite3.Connection:
        """The database, made anew where the records are others now."""
        which = list(map(id, self.records))
        if self._made is None or self._made[0] != which:
            self._made = (which, table_of(self.records))
        return self._made[1]

    def get(self, guid: str) -> CdrRecord | None:
        found = [record for record in self.records if record.call_guid == guid]
        return found[-1] if found else None

    def page(self, wanted: queries.CdrFilter) -> queries.CdrPage:
        return page(self.table(), wanted)

    def csv(self, wanted: queries.CdrFilter) -> CsvPiece:
        return csv_piece(self.table(), wanted)

    def newest(self) -> int:
        return len(self.records)

    def summary(self, wanted: queries.CdrFilter, interval: int) -> list[queries.SummaryLine]:
        return queries.summary(self.table(), wanted, interval)

    def applications(
        self, wanted: queries.CdrFilter, name: str | None
    ) -> list[queries.ApplicationLine]:
        return queries.applications(self.table(), wanted, name)

    def servers(self, start: int, end: int) -> list[queries.ServerLine]:
        return queries.servers(self.table(), start, end)


def explained(
    connection: sqlite3.Connection, ask: Callable[[], object]
) -> list[tuple[str, list[str]]]:
    """Each SELECT that `ask` sends over `connection`, and the steps of its query plan."""
    sent: list[str] = []
    connection.set_trace_callback(sent.append)
    try:
        ask()
    finally:
        connection.set_trace_callback(None)
    selects = [text.strip() for text in sent if text.strip().startswith(("SELECT", "WITH"))]
    return [
        (text, [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")])
        for text in selects
    ]
