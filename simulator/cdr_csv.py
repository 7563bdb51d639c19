"""Records as CSV (RFC 4180), a piece at a time.

SQLite makes the lines itself: the interpreter, which the calls need meanwhile, only hands
them on. A piece begins behind the last record of the one before, so none needs a snapshot
that would keep the log of the store from being tidied for as long as somebody reads.

Text is always quoted. A spreadsheet takes what begins with ``= + - @``, a tab or a line end
for a formula; it gets an apostrophe in front.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from simulator.cdr_pages import behind, page_ids, rows_of
from simulator.cdr_queries import CdrFilter


def _text(column: str) -> str:
    formula = f"substr({column}, 1, 1) IN ('=', '+', '-', '@', char(9), char(10), char(13))"
    escaped = f"replace(ifnull({column}, ''), '\"', '\"\"')"
    return f"'\"' || CASE WHEN {formula} THEN '''' ELSE '' END || {escaped} || '\"'"


def _time(column: str) -> str:
    return f"ifnull(strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch'), '')"


def _whole(value: str) -> str:
    return f"ifnull(CAST({value} AS INTEGER), '')"


def _seconds(milliseconds: str) -> str:
    return _whole(f"({milliseconds}) / 1000")


# Names are those of `api.report_models.CallDetailRecord`.
_CELLS: Final = {
    "callGuid": _text("call_guid"),
    "callStartTime": _time("call_start_time"),
    "callEndTime": _time("call_end_time"),
    "callingNumber": _text("calling_number"),
    "calledNumber": _text("called_number"),
    "callResult": _text("call_result"),
    "callDuration": _seconds("call_end_time - call_start_time"),
    "selfServiceDuration": _seconds("self_service_duration"),
    "queueDuration": _seconds("queue_duration"),
    "applicationName": _text("application_name"),
    "callServerHostname": _text("call_server_hostname"),
    "vxmlServerHostname": _text("vxml_server_hostname"),
    "sipCallId": _text("sip_call_id"),
    "icmCallKey": _text("icm_call_key"),
    "eccVariables": _text("ecc_variables"),
    "transferDestination": _text("transfer_destination"),
    "errorCode": _text("error_code"),
    "numTimeOut": _whole("timeout_count"),
    "numError": _whole("error_count"),
    "numOnHold": _whole("hold_count"),
    "numAppVisited": _whole("application_count"),
    "totalTransfer": _whole("transfer_count"),
    "uui": _text("uui"),
    "callTypeId": _whole("call_type_id"),
    "subSystemTypeId": _whole("sub_system_type_id"),
    "causeId": _whole("cause_id"),
}
_LINE: Final = " || ',' || ".join(_CELLS.values())

HEAD: Final = ",".join(_CELLS) + "\r\n"
"""The line of names."""


@dataclass(frozen=True, slots=True)
class CsvPiece:
    """Whole lines; `cursor` is that of the piece that follows, if one does."""

    text: str
    cursor: int | None


def csv_piece(connection: sqlite3.Connection, wanted: CdrFilter) -> CsvPiece:
    """The lines of one page, without that of names. Raises CursorUnknown."""
    ids = page_ids(connection, wanted)
    rows = rows_of(connection, ids[: wanted.limit], _LINE)
    return CsvPiece("".join(f"{line}\r\n" for (line,) in rows), behind(ids, wanted))
