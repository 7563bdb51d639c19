"""The forms of a log line: each one line, whatever a peer has sent."""

import io
import json
import logging
import re
import sys
from datetime import datetime
from typing import Any

import pytest

from simulator.config import Config
from simulator.log_lines import ConsoleFormatter, CvpFormatter, JsonFormatter, escaped, use_format
from simulator.log_thread import LogThread

HOSTILE = "x\r\n2026-01-01 00:00:00,000 ERROR simulator: forged\x1b[31m\u2028\u202e\x00\x85\udc80"
GUID = "0123456789ABCDEF0123456789ABCDEF"


def record(text: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("simulator.router", logging.WARNING, "", 1, text, arguments, None)
    made.__dict__.update(extra)
    return made


def call_record(event: str, level: int = logging.INFO) -> logging.LogRecord:
    form, arguments = "CALLGUID = %s LEGID = %s - [%s]: %s", (GUID, "abc", "INBOUND", HOSTILE)
    made = logging.LogRecord("simulator.calls", level, "", 1, form, arguments, None)
    made.__dict__["call"] = {"event": event, "callGuid": GUID, "legId": "abc"}
    made.__dict__["text"] = HOSTILE
    return made


def failed() -> logging.LogRecord:
    made = record("it failed")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_what_is_no_plain_character_is_written_out() -> None:
    assert escaped("plain, ü and 漢") == "plain, ü and 漢"
    assert escaped("a\r\nb\x1b\u202e\udc80") == r"a\r\nb\x1b\u202e\udc80"


def test_console() -> None:
    line = ConsoleFormatter().format(record("a %s", HOSTILE, request=" [r-1]"))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING ", line)
    assert " WARNING simulator.router [r-1]: a x" in line


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), CvpFormatter("10.0.0.1")])
def test_a_traceback_stands_indented(formatter: logging.Formatter) -> None:
    """So that no line of what an exception says can be taken for one of the log."""
    first, *rest = formatter.format(failed()).split("\n")
    assert first.endswith("it failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert any("forged" in line for line in rest)


def test_json() -> None:
    line = JsonFormatter().format(record("a %s", HOSTILE, request=" [r-1]"))
    assert line.isascii()
    assert line.isprintable()
    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("time")).utcoffset() is not None
    assert entry == {
        "level": "warning",
        "logger": "simulator.router",
        "message": f"a {HOSTILE}",
        "requestId": "r-1",
    }
    assert "forged" in json.loads(JsonFormatter().format(failed()))["exception"]


def test_json_of_a_call() -> None:
    entry = json.loads(JsonFormatter().format(call_record("leg_ended")))
    assert (entry["event"], entry["callGuid"], entry["legId"]) == ("leg_ended", GUID, "abc")
    assert entry["message"] == HOSTILE


CVP = re.compile(
    r"(?P<seq>\d+): 10\.0\.0\.1: [A-Z][a-z]{2} \d\d \d{4} \d\d:\d\d:\d\d\.\d{3} [+-]\d{4}: "
    r"%CVP_12_6_(?P<code>\w+-\d-\w+): \{Thrd=MainThread\} (?P<text>.*)"
)


def test_as_a_call_server_writes_it() -> None:
    """seq: ip: time: %CVP_ver_subsystem-severity-type: {Thrd=...} CALLGUID = ... (CVP.md 8)."""
    formatter = CvpFormatter("10.0.0.1")
    wanted = {
        "offered": "SIP-6-CALL",
        "CONNECT": "ICM-6-CALL",
        "RUN_SCRIPT_REQ": "IVR-6-CALL",
        "abnormal_end": "SIP-3-SIP_CALL_ERROR",
    }
    for number, (event, code) in enumerate(wanted.items(), start=1):
        found = CVP.fullmatch(formatter.format(call_record(event)))
        assert found is not None
        assert (found["seq"], found["code"]) == (str(number), code)
        begin = f"CALLGUID = {GUID} LEGID = abc - [INBOUND]: "
        assert found["text"] == begin + escaped(HOSTILE)
    found = CVP.fullmatch(formatter.format(record("no route [id:%d]", 5010)))
    assert found is not None
    assert found["code"] == "ICM-4-ROUTER"
    assert found["text"] == "simulator.router: no route [id:5010]"


@pytest.mark.parametrize(
    ("form", "expected"),
    [("console", ConsoleFormatter), ("json", JsonFormatter), ("cvp", CvpFormatter)],
)
def test_the_configuration_names_the_form(
    form: str, expected: type[logging.Formatter], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    handler = LogThread(stream)
    other = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler, other])
    seen: list[Any] = []
    config = Config.load(None, {"CALLSIM_LOG__FORMAT": form}, (), seen.append)
    assert seen == [config]
    use_format(config)
    assert type(handler.formatter) is expected
    assert other.formatter is None
