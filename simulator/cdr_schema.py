"""The tables of the store of call detail records, and how a file of a former version gets them.

A record is stored in `cdr`, whose one index, by GUID, keeps it from coming twice. What reports
look for and sum up is repeated in `cdr_brief`, which has the indexes (`simulator.cdr_pages`
says which serves what), and counted by quarters of an hour in `cdr_quarter`, so that totals
and summaries need not walk through records.

Both are entered behind the records, many at a time, by `catch_up`: an index costs a page
or more in every commit, much less for each record where many come at once. Which are missing
shows in the file itself, in the transaction that enters them: they are those behind the last
one of `cdr_brief`. Triggers follow what is deleted or changed by hand.
"""

import logging
import sqlite3
from collections.abc import Mapping
from typing import Final

from simulator.cdr_records import COLUMNS, CdrStoreError

SCHEMA_VERSION: Final = 5

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

_BRIEF_COLUMNS: Final = (
    *("call_start_time", "call_end_time", "call_result", "called_number", "calling_number"),
    *("self_service_duration", "queue_duration", "transfer_count"),
)
_BRIEF: Final = f"""
CREATE TABLE cdr_brief (
    id INTEGER PRIMARY KEY,
    call_start_time INTEGER NOT NULL,
    call_end_time INTEGER NOT NULL,
    {", ".join(_BRIEF_COLUMNS[2:])}
)
"""
_ENTER: Final = (
    f"INSERT INTO cdr_brief (id, {', '.join(_BRIEF_COLUMNS)}) "
    f"SELECT id, {', '.join(_BRIEF_COLUMNS)} FROM cdr WHERE id > ?"
)

_IN_TIME: Final = "call_start_time, call_end_time, call_result"
_BY: Final[Mapping[str, str]] = {
    "cdr_start": "call_start_time",
    "cdr_end": "call_end_time, call_start_time",
    "cdr_result": "call_result, call_start_time",
    # With all that is asked of the calls of a number, which may be a tenth of all.
    "cdr_called": f"called_number, {_IN_TIME}, calling_number",
    "cdr_calling": f"calling_number, {_IN_TIME}, called_number",
}
INDEXES: Final[Mapping[str, str]] = {
    "cdr_guid": "CREATE UNIQUE INDEX cdr_guid ON cdr (call_guid, call_start_time)",
    **{name: f"CREATE INDEX {name} ON cdr_brief ({columns})" for name, columns in _BY.items()},
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

_DURATIONS: Final = ("duration", "self_service_duration", "queue_duration")
# Not sum(), which fails where it overflows: a peer's clock must not stop the store.
SUMS: Final = ", ".join(
    (f"total({added})" if name in _DURATIONS else f"count(*) FILTER (WHERE {added})")
    + f" AS {name}"
    for name, added in ((name, added.format(row="")) for name, added in _ADDED.items())
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
_COUNT: Final = f"""
INSERT INTO cdr_quarter
SELECT {_QUARTER_OF.format(row="")}, {SUMS}, min(call_end_time), max(call_end_time)
FROM cdr_brief WHERE {{which}} GROUP BY 1
ON CONFLICT (start) DO UPDATE SET
    {", ".join(f"{name} = {name} + excluded.{name}" for name in FIGURES)},
    first_end = min(first_end, excluded.first_end),
    last_end = max(last_end, excluded.last_end)
"""
_COUNT_BEHIND: Final = _COUNT.format(which="id > ?")

_TRIGGERS: Final = (
    """
    CREATE TRIGGER cdr_deleted AFTER DELETE ON cdr
    BEGIN DELETE FROM cdr_brief WHERE id = OLD.id; END
    """,
    f"""
    CREATE TRIGGER cdr_changed AFTER UPDATE OF id, {", ".join(_BRIEF_COLUMNS)} ON cdr
    BEGIN
        UPDATE cdr_brief SET {", ".join(f"{name} = NEW.{name}" for name in ("id", *_BRIEF_COLUMNS))}
        WHERE id = OLD.id;
    END
    """,
    f"CREATE TRIGGER cdr_uncounted AFTER DELETE ON cdr_brief BEGIN {_TAKE_OFF} END",
    f"""
    CREATE TRIGGER cdr_recounted AFTER UPDATE ON cdr_brief
    BEGIN {_TAKE_OFF} {_COUNT.format(which="id = NEW.id")}; END
    """,
)

_LEAST: Final = -(2**63)

# From a table that is filled already: indexes and figures are then made in one go.
_REPEATED: Final = (
    _BRIEF,
    _ENTER.replace("?", str(_LEAST)),
    *(statement for name, statement in INDEXES.items() if name != "cdr_guid"),
    _QUARTERS,
    _COUNT_BEHIND.replace("?", str(_LEAST)),
    *_TRIGGERS,
)
COMPLETION: Final = (INDEXES["cdr_guid"], *_REPEATED)

VERSION: Final = (
    "CREATE TABLE schema_version (version INTEGER NOT NULL)",
    f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})",
)

# What makes a file of the version before one of this version. Those before had indexes of the
# same names on columns of `cdr`; that by GUID, which takes long to make, is still the same.
_MIGRATIONS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("ALTER TABLE cdr ADD COLUMN marks",),
    2: (),
    3: (),
    4: (
        *(f"DROP INDEX IF EXISTS {name}" for name in _BY),
        *(f"DROP TRIGGER IF EXISTS {name}" for name in ("cdr_uncounted", "cdr_recounted")),
        "DROP TABLE IF EXISTS cdr_quarter",
        *_REPEATED,
    ),
}


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Make the tables of this version in a file that has none or those of a former one.

    What a former run has left out is entered. `name` is the file's, for errors and the log.
    Raises CdrStoreError where its version is a later one.
    """
    connection.execute("BEGIN IMMEDIATE")
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'"
    if connection.execute(tables).fetchone()[0]:
        _migrate(connection, name)
    else:
        for statement in (*VERSION, TABLE, *COMPLETION):
            connection.execute(statement)
    _enter(connection)
    connection.execute("COMMIT")


def catch_up(connection: sqlite3.Connection) -> None:
    """Enter the records that `cdr_brief` and the figures lack, in a transaction of its own."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _enter(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _enter(connection: sqlite3.Connection) -> None:
    last = connection.execute(f"SELECT ifnull(max(id), {_LEAST}) FROM cdr_brief").fetchone()
    connection.execute(_ENTER, last)
    connection.execute(_COUNT_BEHIND, last)


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
