"""A store of records in memory that reports can be asked of."""

import sqlite3
from collections.abc import Iterable

from simulator import cdr_queries as queries
from simulator.cdr_records import COLUMNS, CdrRecord, to_row


class RecordsInMemory:
    """Answers reports from `records`, by the queries of the real store."""

    def __init__(self, records: Iterable[CdrRecord] = ()) -> None:
        self.records = list(records)

    def _table(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.execute(f"CREATE TABLE cdr (id INTEGER PRIMARY KEY, {', '.join(COLUMNS)})")
        marks = ", ".join("?" * len(COLUMNS))
        insert = f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({marks})"
        connection.executemany(insert, map(to_row, self.records))
        return connection

    def get(self, guid: str) -> CdrRecord | None:
        found = [record for record in self.records if record.call_guid == guid]
        return found[-1] if found else None

    def page(self, wanted: queries.CdrFilter) -> queries.CdrPage:
        return queries.page(self._table(), wanted)

    def summary(self, wanted: queries.CdrFilter, interval: int) -> list[queries.SummaryLine]:
        return queries.summary(self._table(), wanted, interval)

    def applications(
        self, wanted: queries.CdrFilter, name: str | None
    ) -> list[queries.ApplicationLine]:
        return queries.applications(self._table(), wanted, name)

    def servers(self, start: int, end: int) -> list[queries.ServerLine]:
        return queries.servers(self._table(), start, end)
