"""The tables of the store of call detail records, and how a file of a former version gets them.

Every index serves queries that are offered (`simulator.cdr_pages` says which); each costs a
page or more in every commit, so there is none to spare. `cdr_quarter` holds what was counted
in each quarter of an hour, so that totals and summaries need not walk through records. Who
stores records adds them to it (`COUNT_BEHIND`); triggers follow what is deleted or changed by
hand.
"""

import logging
import sqlite3
from collections.abc import Mapping
from typing import Final

from simulator.cdr_records import COLUMNS, CdrStoreError

SCHEMA_VERSION: Final = 4

QUARTER: Final = 900_000
"""Milliseconds of a quarter of an hour, by which `cdr_quarter` counts."""

_log = logging.getLogger(__name__)

TABLE: Final = f"""
CREATE TABLE cdr (
    id INTEGER PRIMARY KEY,
    call_guid TEXT NOT NULL,
    call_start_time INTEGER NOT NULL,
    call_end_time INTEGER NOT NULL,
    {", ".join(COLUMNS[3:])}
)
"""

_OF_A_NUMBER: Final = "call_start_time, call_end_time, call_result"

INDEXES: Final[Mapping[str, str]] = {
    "cdr_guid": "CREATE UNIQUE INDEX cdr_guid ON cdr (call_guid, call_start_time)",
    "cdr_start": "CREATE INDEX cdr_start ON cdr (call_start_time)",
    "cdr_end": "CREATE INDEX cdr_end ON cdr (call_end_time, call_start_time, call_result)",
    "cdr_result": "CREATE INDEX cdr_result ON cdr (call_result, call_start_time)",
    "cdr_called": f"CREATE INDEX cdr_called ON cdr (called_number, {_OF_A_NUMBER})",
    "cdr_calling": f"CREATE INDEX cdr_calling ON cdr (calling_number, {_OF_A_NUMBER})",
}

# What each record adds to its quarter of an hour. IS, unlike =, is never NULL.
_SERVED: Final = "ifnull({row}self_service_duration > 0, 0)"
_ADDED: Final[Mapping[str, str]] = {
    "total": "1",
    "completed": "{row}call_result IS 'completed'",
    "abandoned": "{row}call_result IS 'abandoned'",
    "transferred": "{row}call_result IS 'transferred'",
    "error": "{row}call_result IS 'error'",
    "duration": "{row}call_end_time - {row}call_start_time",
    "self_service_duration": "ifnull({row}self_service_duration, 0)",
    "queue_duration": "ifnull({row}queue_duration, 0)",
    "self_service": _SERVED,
    # Those that ended in self-service: completed, and never transferred.
    "self_served": f"{_SERVED} AND {{row}}queue_duration IS 0 "
    "AND {row}call_result IS 'completed' AND ifnull({row}transfer_count, 0) <= 1",
}
FIGURES: Final = tuple(_ADDED)
"""The columns of `cdr_quarter` that are sums over its records; durations in milliseconds."""

# Not sum(), which fails where it overflows: a peer's clock must not stop the store.
SUMS: Final = ", ".join(
    f"total({added.format(row='')}) AS {name}" for name, added in _ADDED.items()
)
"""The same figures of records themselves."""


def begin_of(column: str, interval: int) -> str:
    """When the interval of so many milliseconds begins that a time is in, before 1970 too.

    SQLite's division goes to zero, that of Python down.
    """
    return f"({column} - ({column} % {interval} + {interval}) % {interval})"


_QUARTER_OF: Final = begin_of("{row}call_start_time", QUARTER)
_QUARTERS: Final = f"""
CREATE TABLE cdr_quarter (
    start INTEGER PRIMARY KEY,
    {", ".join(f"{name} INTEGER NOT NULL" for name in FIGURES)},
    first_end INTEGER NOT NULL,
    last_end INTEGER NOT NULL
)
"""
_TAKEN: Final = ", ".join(
    f"{name} = {name} - ({added.format(row='OLD.')})" for name, added in _ADDED.items()
)
_TAKE_OFF: Final = f"""
    UPDATE cdr_quarter SET {_TAKEN} WHERE start = {_QUARTER_OF.format(row="OLD.")};
    DELETE FROM cdr_quarter WHERE start = {_QUARTER_OF.format(row="OLD.")} AND total = 0;
"""
_UNCOUNT: Final = f"CREATE TRIGGER cdr_uncounted AFTER DELETE ON cdr BEGIN {_TAKE_OFF} END"
_COUNT: Final = f"""
INSERT INTO cdr_quarter
SELECT {_QUARTER_OF.format(row="")}, {SUMS}, min(call_end_time), max(call_end_time)
FROM cdr WHERE {{which}} GROUP BY 1
ON CONFLICT (start) DO UPDATE SET
    {", ".join(f"{name} = {name} + excluded.{name}" for name in FIGURES)},
    first_end = min(first_end, excluded.first_end),
    last_end = max(last_end, excluded.last_end)
"""
COUNT_BEHIND: Final = _COUNT.format(which="id > ?")
"""Adds the records behind an id to the figures: once for each group that is stored."""

_RECOUNT: Final = f"""
CREATE TRIGGER IF NOT EXISTS cdr_recounted AFTER UPDATE OF call_start_time, call_end_time,
    call_result, self_service_duration, queue_duration, transfer_count ON cdr
BEGIN {_TAKE_OFF} {_COUNT.format(which="id = NEW.id")}; END
"""

# From a table that is filled already: indexes and figures are then made in one go.
COMPLETION: Final = (
    *INDEXES.values(),
    _QUARTERS,
    COUNT_BEHIND.replace("?", "-1"),
    _UNCOUNT,
    _RECOUNT,
)

VERSION: Final = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})",
)

# What makes a file of the version before one of this version. Former versions had indexes of
# the same names with fewer columns.
_MIGRATIONS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("ALTER TABLE cdr ADD COLUMN marks",),
    2: (*(f"DROP INDEX IF EXISTS {name}" for name in INDEXES), *COMPLETION),
    3: (_RECOUNT,),
}


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Make the tables of this version in a file that has none or those of a former one.

    `name` is the file's, for errors and the log. Raises CdrStoreError where its version is a
    later one.
    """
    connection.execute("BEGIN IMMEDIATE")
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
    if connection.execute(tables).fetchone()[0]:
        _migrate(connection, name)
    else:
        for statement in (*VERSION, TABLE, *COMPLETION):
            connection.execute(statement)
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, name: str) -> None:
    (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    while version in _MIGRATIONS:
        _log.warning("the CDR store %s has schema %d; it gets the next one", name, version)
        for statement in _MIGRATIONS[version]:
            connection.execute(statement)
        version += 1
        connection.execute("UPDATE schema_version SET version = ?", (version,))
    if version != SCHEMA_VERSION:
        connection.execute("ROLLBACK")
        raise CdrStoreError(
            f"the CDR store {name!r} has schema {version}, this Callsim knows "
            f"{SCHEMA_VERSION}; use the newer Callsim, or another file by cdr.url"
        )
