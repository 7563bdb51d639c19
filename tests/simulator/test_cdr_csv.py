"""Records as CSV, read back by the standard library."""

import csv
import io
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from simulator.cdr import SqliteCdrStore
from simulator.cdr_csv import HEAD, csv_piece
from simulator.cdr_queries import CdrFilter
from simulator.cdr_records import CdrRecord, to_row
from tests.support.records import RecordsInMemory

START = 1_780_000_000_123  # 2026-05-28T20:26:40.123Z


def record(number: int = 1, rest: Mapping[str, str] = MappingProxyType({})) -> CdrRecord:
    one = CdrRecord(
        f"{number:032X}",
        START + number,
        START + number + 9_999,
        calling_number="1001",
        called_number="7000",
        self_service_duration=2_900,
        queue_duration=1_000,
        application_name="support",
        call_server_hostname="cs",
        vxml_server_hostname="10.0.0.9",
        sip_call_id="1-2@10.0.0.1",
        icm_call_key="152340-4711-0",
        hold_count=1,
        application_count=2,
        transfer_count=3,
        timeout_count=4,
        error_count=5,
        ecc_variables={"user.a": "b"},
    )
    for name, value in rest.items():
        setattr(one, name, value)
    return one


def lines(store: RecordsInMemory, wanted: CdrFilter) -> list[dict[str, str]]:
    text = HEAD + csv_piece(store.table(), wanted).text
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_record_is_a_line() -> None:
    assert lines(RecordsInMemory([record()]), CdrFilter()) == [
        {
            "callGuid": f"{1:032X}",
            "callStartTime": "2026-05-28T20:26:40.124Z",
            "callEndTime": "2026-05-28T20:26:50.123Z",
            "callingNumber": "1001",
            "calledNumber": "7000",
            "callResult": "completed",
            "callDuration": "9",
            "selfServiceDuration": "2",
            "queueDuration": "1",
            "applicationName": "support",
            "callServerHostname": "cs",
            "vxmlServerHostname": "10.0.0.9",
            "sipCallId": "1-2@10.0.0.1",
            "icmCallKey": "152340-4711-0",
            "eccVariables": '{"user.a":"b"}',
            "transferDestination": "",
            "errorCode": "",
            "numTimeOut": "4",
            "numError": "5",
            "numOnHold": "1",
            "numAppVisited": "2",
            "totalTransfer": "3",
            "uui": "",
            "callTypeId": "4",
            "subSystemTypeId": "0",
            "causeId": "1",
        }
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_formula_gets_an_apostrophe(begin: str) -> None:
    formula = f"{begin}cmd|' /C calc'!A0"
    names = [
        field.name
        for field in fields(CdrRecord)
        if field.type in (str, "str", str | None) and field.name != "call_guid"
    ]
    assert len(names) >= 10
    store = RecordsInMemory([record(1, dict.fromkeys(names, formula))])
    (line,) = lines(store, CdrFilter())
    assert list(line.values()).count(f"'{formula}") == len(names)
    assert not any(value.startswith(begin) for value in line.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\0=1+1", "'=1+1"),
        ("\x1f\0\x7f@a", "'@a"),
        (" \u00a0\ufeff\u200b=1", "' \u00a0\ufeff\u200b=1"),
        *((f"{sign}1", f"'{sign}1") for sign in "\uff1d\uff0b\uff0d\uff20"),
        ("a;=1;b", "a;'=1;b"),
        ('a; "+1;c', "a;' \"+1;c"),
        ("a\0;\0=1", "a;'=1"),
        ("a\t-1\r\n@b", "a\t'-1\r\n'@b"),
        ("\x01a\0b\x85", "ab"),
        ("\t=1", "'\t'=1"),
        (-1, "'-1"),
    ],
)
def test_no_way_around_leads_to_a_formula(text: str, expected: str) -> None:
    """Controls, blanks, wide signs, and cells where something else than a comma separates."""
    (line,) = lines(RecordsInMemory([record(1, {"application_name": text})]), CdrFilter())
    assert line["applicationName"] == expected


def test_a_long_text_is_looked_through_once() -> None:
    text = "\n;\t " * 20_000 + " " * 40_000
    (line,) = lines(RecordsInMemory([record(1, {"uui": text})]), CdrFilter())
    assert line["uui"] == f"'{text}"


PLAIN = ['a "b", c', "two\r\nlines", "a=b", "ä,\u2028", "'", "a; b", " a", "+".join("ab")]


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_comes_back_as_it_was(text: str) -> None:
    (line,) = lines(RecordsInMemory([record(1, {"application_name": text})]), CdrFilter())
    assert line["applicationName"] == text


def test_every_line_ends_with_cr_and_lf() -> None:
    piece = csv_piece(RecordsInMemory([record(1), record(2)]).table(), CdrFilter())
    assert HEAD.endswith("causeId\r\n")
    assert [line[1:33] for line in piece.text.split("\r\n")] == [f"{2:032X}", f"{1:032X}", ""]


def test_pieces_follow_one_another() -> None:
    store = RecordsInMemory([record(number) for number in range(25)])
    wanted = CdrFilter(limit=10, sort_order="asc", newest=24)
    found: list[str] = []
    piece = csv_piece(store.table(), wanted)
    sizes = []
    while True:
        part = piece.text.splitlines()
        sizes.append(len(part))
        found += [line[1:33] for line in part]
        if piece.cursor is None:
            break
        piece = csv_piece(store.table(), replace(wanted, cursor=piece.cursor))
    assert sizes == [10, 10, 4]
    assert found == [f"{number:032X}" for number in range(24)]
    assert csv_piece(store.table(), CdrFilter(called_number="none")).text == ""


def test_between_pieces_nobody_holds_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be cut, and what was stored meanwhile is in no later piece."""
    monkeypatch.setattr(SqliteCdrStore, "_CHECKPOINT_EVERY", 3600)  # only one at a time may
    stored = threading.Semaphore(0)
    path = tmp_path / "cdr.sqlite"
    with SqliteCdrStore(path, lambda done: stored.release(len(done)), gather=0) as store:

        def keep(number: int) -> None:
            store.submit(to_row(record(number)), lambda: None)
            assert stored.acquire(timeout=20)

        for number in range(1, 16):
            keep(number)
        wanted = CdrFilter(limit=10, sort_order="asc", newest=store.newest())
        piece = store.csv(wanted)
        keep(16)
        other = sqlite3.connect(path, timeout=20)
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert not busy
        assert (tmp_path / "cdr.sqlite-wal").stat().st_size == 0
        rest = store.csv(replace(wanted, cursor=piece.cursor))
    assert (piece.text.count("\r\n"), rest.text.count("\r\n"), rest.cursor) == (10, 5, None)
