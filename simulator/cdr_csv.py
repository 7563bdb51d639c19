"""Records as CSV (RFC 4180), a piece at a time.

SQLite makes the lines itself: the interpreter, which the calls need meanwhile, only hands
them on. PostgreSQL, whose expressions are others, has them made by `line_of`. A piece begins
behind the last record of the one before, so none needs a snapshot that would keep the log of
the store from being tidied for as long as somebody reads.

Text is always quoted. A spreadsheet takes what begins with ``= + - @``, in either width and
perhaps behind blanks, or with a tab or a line end, for a formula: it gets an apostrophe in
front. So does what follows a semicolon, a tab or a line end, where one that separates by these
would begin a cell. Control characters, which some leave out, are left out.
"""

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from simulator.cdr_pages import behind, page_ids, rows_of
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import COLUMNS, Row

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Not seen, or taken for the quotes of a cell. What ends a cell begins the next look.
_BLANKS: Final = r"(?:[^\S\t\r\n]|[\"\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff])*"
_SIGN: Final = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212]"
_FORMULA: Final = re.compile(rf"(\A(?=[\t\r\n])|(?:\A|[;\t\r\n])(?={_BLANKS}{_SIGN}))")


def _harmless(text: str) -> str:
    """`text` as no spreadsheet takes it for a formula."""
    return _FORMULA.sub(r"\1'", _CONTROL.sub("", text))


# What may need it begins with a sign or a blank, or has a semicolon or what is not plain
# ASCII. GLOB sees nothing behind a NUL.
_ODD: Final = "({0} GLOB '[ \"=+@-]*' OR {0} GLOB '*[^ -:<-~]*' OR instr({0}, char(0)) > 0)"


def _text(column: str) -> str:
    harmless = (
        f"CASE WHEN {_ODD.format(column)} THEN harmless(CAST({column} AS TEXT)) ELSE {column} END"
    )
    return f"'\"' || replace(ifnull({harmless}, ''), '\"', '\"\"') || '\"'"


def _time(column: str) -> str:
    return f"ifnull(strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch'), '')"


def _whole(value: str) -> str:
    return f"ifnull(CAST({value} AS INTEGER), '')"


def _seconds(milliseconds: str) -> str:
    return _whole(f"({milliseconds}) / 1000")


_DURATION: Final = "call_end_time - call_start_time"

# Names are those of `api.report_models.CallDetailRecord`.
_CELLS: Final[Mapping[str, tuple[Callable[[str], str], str]]] = {
    "callGuid": (_text, "call_guid"),
    "callStartTime": (_time, "call_start_time"),
    "callEndTime": (_time, "call_end_time"),
    "callingNumber": (_text, "calling_number"),
    "calledNumber": (_text, "called_number"),
    "callResult": (_text, "call_result"),
    "callDuration": (_seconds, _DURATION),
    "selfServiceDuration": (_seconds, "self_service_duration"),
    "queueDuration": (_seconds, "queue_duration"),
    "applicationName": (_text, "application_name"),
    "callServerHostname": (_text, "call_server_hostname"),
    "vxmlServerHostname": (_text, "vxml_server_hostname"),
    "sipCallId": (_text, "sip_call_id"),
    "icmCallKey": (_text, "icm_call_key"),
    "eccVariables": (_text, "ecc_variables"),
    "transferDestination": (_text, "transfer_destination"),
    "errorCode": (_text, "error_code"),
    "numTimeOut": (_whole, "timeout_count"),
    "numError": (_whole, "error_count"),
    "numOnHold": (_whole, "hold_count"),
    "numAppVisited": (_whole, "application_count"),
    "totalTransfer": (_whole, "transfer_count"),
    "uui": (_text, "uui"),
    "callTypeId": (_whole, "call_type_id"),
    "subSystemTypeId": (_whole, "sub_system_type_id"),
    "causeId": (_whole, "cause_id"),
}
_LINE: Final = " || ',' || ".join(cell(column) for cell, column in _CELLS.values())

HEAD: Final = ",".join(_CELLS) + "\r\n"
"""The line of names."""


@dataclass(frozen=True, slots=True)
class CsvPiece:
    """Whole lines; `cursor` is that of the piece that follows, if one does."""

    text: str
    cursor: int | None


def csv_piece(connection: sqlite3.Connection, wanted: CdrFilter) -> CsvPiece:
    """The lines of one page, without that of names. Raises CursorUnknown."""
    connection.create_function("harmless", 1, _harmless, deterministic=True)
    ids = page_ids(connection, wanted)
    rows = rows_of(connection, ids[: wanted.limit], _LINE)
    return CsvPiece("".join(f"{line}\r\n" for (line,) in rows), behind(ids, wanted))


# The same for a store that cannot make lines itself.

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _text_of(value: Any) -> str:
    text = "" if value is None else _harmless(str(value)).replace('"', '""')
    return f'"{text}"'


def _time_of(value: Any) -> str:
    try:
        time = _EPOCH + timedelta(milliseconds=value)
    except (TypeError, OverflowError):
        return ""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole_of(value: Any) -> str:
    return "" if value is None else str(int(value))


def _seconds_of(milliseconds: Any) -> str:
    if milliseconds is None:
        return ""
    whole = abs(int(milliseconds)) // 1000  # SQLite's division goes to zero
    return str(whole if milliseconds > 0 else -whole)


_IN_PYTHON: Final = {
    _text: _text_of,
    _time: _time_of,
    _whole: _whole_of,
    _seconds: _seconds_of,
}
_LINE_IN_PYTHON: Final = [(_IN_PYTHON[cell], column) for cell, column in _CELLS.values()]


def line_of(row: Row) -> str:
    """The line of a record, without its end."""
    values = dict(zip(COLUMNS, row, strict=True))
    values[_DURATION] = values["call_end_time"] - values["call_start_time"]
    return ",".join(cell(values[column]) for cell, column in _LINE_IN_PYTHON)
