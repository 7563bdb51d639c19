"""The store of call detail records in PostgreSQL.

A group is one statement that takes its records as one JSON text: one way to the server and
back, a tenth of the interpreter's time that a parameter for each value costs, and committed
or not as a whole. A server that is down, or does not answer, is borne from the start on.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Final, TypeVar

import psycopg
from psycopg.errors import ProgramLimitExceeded, QueryCanceled
from pydantic_core import PydanticSerializationError, to_json

from simulator import cdr_postgres_queries as queries
from simulator.backlog import Notify
from simulator.cdr_csv import CsvPiece
from simulator.cdr_migrations import HEAD, VERSION_TABLE
from simulator.cdr_queries import (
    ALL,
    ApplicationLine,
    CdrFilter,
    CdrPage,
    ServerLine,
    SummaryLine,
)
from simulator.cdr_records import COLUMNS, CdrRecord, CdrStoreError, Row, repaired
from simulator.cdr_store import CdrStore, one_line
from simulator.journal import Journal
from simulator.postgres import Connection, Session, conninfo_of, name_of, refuses

_T = TypeVar("_T")

_NUMBERS: Final = frozenset(field.name for field in fields(CdrRecord) if field.type is int)
_VALUES: Final = ", ".join(
    f"(r->>{at})::bigint" if name in _NUMBERS else f"r->>{at}" for at, name in enumerate(COLUMNS)
)
# The same GUID and start is the same record: a group whose fate was unclear, because the
# connection broke, does not come out double.
_INSERT: Final = (
    f"INSERT INTO cdr ({ALL}) SELECT {_VALUES} FROM jsonb_array_elements(%s::jsonb) AS r "
    "ON CONFLICT (call_guid, call_start_time) DO NOTHING"
)

# An index takes values of some 2700 octets.
_INDEXED: Final = frozenset(("call_guid", "calling_number", "called_number", "call_result"))
_LONGEST: Final = 500

# The settings of a cluster may ask for less than the disk, or for standbys as well.
_STATE: Final = f"""
SELECT current_setting('server_encoding'), current_setting('transaction_read_only'),
    to_regclass('{VERSION_TABLE}') IS NOT NULL,
    set_config('synchronous_commit', CASE
        WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
        ELSE current_setting('synchronous_commit') END, false)
"""


class PostgresCdrStore(CdrStore):
    """Keeps records in a database of PostgreSQL, named by a URL of libpq.

    Where the server cannot be reached, or is not ready, records wait in the journal from the
    start on. Where it refuses us, because of what the URL says, this raises `CdrStoreError`.
    """

    _PATIENCE = 10.0  # seconds for a commit; then another connection is tried

    _OWN_FAULTS = (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.InternalError,  # such as a standby that was the primary
        psycopg.ProgrammingError,  # such as a right or a table that was taken away
        CdrStoreError,
    )
    _PEERS_FAULTS = (
        PydanticSerializationError,
        UnicodeEncodeError,
        psycopg.DataError,
        ProgramLimitExceeded,
    )
    _PARAMETER = "%s"

    def __init__(
        self,
        url: str,
        notify: Notify,
        journal: Journal | None = None,
        *,
        gather: float = 0.032,
    ) -> None:
        try:
            conninfo = conninfo_of(url)
        except ValueError as error:
            raise CdrStoreError(f"cdr.url: {error}") from None
        super().__init__(name_of(conninfo), notify, journal, gather)
        patience = self._LONGEST_REPORT + 1.0
        self._session = Session(conninfo, self._PATIENCE, self._closing, self._prepare)
        self._reader = Session(conninfo, patience, self._closing)
        self._reporter = Session(conninfo, patience, self._closing)
        self._open()
        self._start()

    # -- opening ---------------------------------------------------------------------------

    def _open(self) -> None:
        """Connect, or leave that to the writer where it may succeed later."""
        for attempt in (1, 2):  # it may have become ready just between two looks at it
            try:
                self._session.connection()
                return
            except psycopg.OperationalError as error:
                if not refuses(self._session.conninfo, error):
                    self._ready = False
                    self._failed(error)
                    return
                if attempt == 2:
                    raise CdrStoreError(
                        f"cdr.url: {self.name} refuses us: {one_line(error)}; see that user, "
                        "password and database of the URL are right and there (createuser, "
                        "createdb), and that pg_hba.conf admits us"
                    ) from None
            except psycopg.Error as error:
                raise CdrStoreError(
                    f"cdr.url: the tables cannot be made in {self.name}: {one_line(error)}; "
                    "give the user the right to (CREATE on the schema), or name another database"
                ) from None

    def _prepare(self, connection: Connection) -> None:
        """A new connection of the writer: it leads to a database that has our tables."""
        row = connection.execute(_STATE).fetchone()
        assert row is not None
        encoding, read_only, there, _ = row
        if read_only == "on":
            raise psycopg.OperationalError("the server is read-only: a standby?")
        if encoding != "UTF8":
            raise CdrStoreError(
                f"cdr.url: the database {self.name} has the encoding {encoding}; make one by "
                "createdb --encoding=UTF8 --template=template0"
            )
        if there:
            row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
        if not there or row is None or row[0] != HEAD:
            self._migrate()

    def _migrate(self) -> None:
        # Nobody else needs these, and they take half a second to import.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError
        from sqlalchemy import NullPool, create_engine, text
        from sqlalchemy.exc import DBAPIError

        def connect() -> Connection:
            made: Connection = Connection.connect(self._session.conninfo)
            return made

        config = Config()
        config.set_main_option("script_location", "simulator:cdr_migrations")
        engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
        try:
            with engine.begin() as connection:
                # Others that start at the same time wait, and find all done.
                lock = f"SELECT pg_advisory_xact_lock(hashtext('{VERSION_TABLE}'))"
                connection.execute(text(lock))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            raise CdrStoreError(
                f"the CDR store {self.name!r} is of a later version than this Callsim, which "
                f"knows {HEAD} ({one_line(error)}); use the newer Callsim, or another database "
                "by cdr.url"
            ) from error
        except DBAPIError as error:
            raise error.orig or error from None

    # -- writing ---------------------------------------------------------------------------

    def _commit(self, rows: list[Row]) -> None:
        try:
            connection = self._session.connection()
            if rows:
                connection.execute(_INSERT, (to_json(rows).decode(),))
        except self._OWN_FAULTS:
            self._session.drop()
            raise

    def _repaired(self, row: Row) -> Row:
        values = dict(zip(COLUMNS, repaired(row), strict=True))
        for name, value in values.items():
            if value is None:
                continue
            if name in _NUMBERS:
                values[name] = int(value)
            else:
                text = queries.storable(str(value))
                values[name] = text[:_LONGEST] if name in _INDEXED else text
        return tuple(values.values())

    # -- reading ---------------------------------------------------------------------------

    def _read(self, query: str, *parameters: object) -> list[Row]:
        known = [queries.storable(one) if isinstance(one, str) else one for one in parameters]
        try:
            return self._reader.run(lambda one: one.execute(query, known).fetchall())
        except psycopg.Error as error:
            raise self._unreadable(error) from error

    def page(self, wanted: CdrFilter) -> CdrPage:
        """How many records match, and those of one page. Raises CursorUnknown."""
        return self._report(lambda connection: queries.page(connection, wanted))

    def csv(self, wanted: CdrFilter) -> CsvPiece:
        """The records of one page as lines of CSV. Raises CursorUnknown."""
        return self._report(lambda connection: queries.csv_piece(connection, wanted))

    def summary(self, wanted: CdrFilter, interval: int) -> list[SummaryLine]:
        """Figures of the calls that match, by intervals of so many milliseconds."""
        return self._report(lambda connection: queries.summary(connection, wanted, interval))

    def applications(self, wanted: CdrFilter, name: str | None) -> list[ApplicationLine]:
        """Figures by application."""
        return self._report(lambda connection: queries.applications(connection, wanted, name))

    def servers(self, start: int, end: int) -> list[ServerLine]:
        """Figures by call server and by VXML server."""
        return self._report(lambda connection: queries.servers(connection, start, end))

    def _report(self, query: Callable[[Connection], _T]) -> _T:
        """What is stored from now on is not seen: the figures of one report fit together."""
        limit = int(self._LONGEST_REPORT * 1000)

        def ask(connection: Connection) -> _T:
            with connection.transaction():
                connection.execute(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; "
                    f"SET LOCAL statement_timeout = {limit}"
                )
                return query(connection)

        try:
            return self._reporter.run(ask)
        except QueryCanceled as error:
            raise self._too_long() from error
        except psycopg.Error as error:
            raise self._unreadable(error) from error

    # -- the end ---------------------------------------------------------------------------

    def _close_writer(self) -> None:
        self._session.drop()

    def _close_readers(self, timeout: float) -> None:
        self._reader.close()
        self._reporter.close()
