"""The forms of a log line: for people, as JSON, and as a Call Server writes it.

A record is one line whatever was logged: what a peer sent cannot begin another, or steer a
terminal. A traceback stands indented below its line, in JSON inside it.
"""

import json
import logging
import re
import socket
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Final

from simulator.log_thread import LogThread

if TYPE_CHECKING:
    from simulator.config import Config

_INDENT: Final = "    "

# %CVP_<version>_<subsystem>-<severity>-<type> (CVP.md section 8). The facts are those of 12.6.
# Which event is of which subsystem, and the types, are inferred.
_VERSION: Final = "12_6"
_SEVERITIES: Final[Mapping[int, int]] = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
_ICM: Final = frozenset(
    "NEW_CALL CONNECT TEMPORARY_CONNECT EVENT_REPORT RELEASE DIALOGUE_FAILURE requery "
    "request_instruction script script_endless waiting_for_icm queued queue_position routed "
    "agents router treatment webhook".split()  # the last ones are loggers
)
_IVR: Final = frozenset(
    "RUN_SCRIPT_REQ RUN_SCRIPT_RESULT application_ended application_not_run result_dropped "
    "self_service ivr vxml".split()
)
_NO_WORD: Final = re.compile(r"\W+")


def escaped(text: str) -> str:
    r"""`text` in one line: what is no plain character stands as ``\n``, ``\x1b``, ``\u202e``."""
    if text.isprintable():
        return text
    shown = [c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text]
    return "".join(shown)


def utc(seconds: float) -> str:
    """RFC 3339 with milliseconds for seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class ConsoleFormatter(logging.Formatter):
    """``2026-01-31 12:00:00,123 INFO simulator.router: text``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return self.head(record) + escaped(record.getMessage()) + self._below(record)

    def head(self, record: logging.LogRecord) -> str:
        """What stands before the text."""
        request = _request(record)
        tag = f" [{escaped(request)}]" if request else ""
        return f"{self.formatTime(record)} {record.levelname} {record.name}{tag}: "

    def _below(self, record: logging.LogRecord) -> str:
        lines = self.traceback(record).split("\n")
        return "".join([f"\n{_INDENT}{escaped(line)}" for line in lines if line])

    def traceback(self, record: logging.LogRecord) -> str:
        """The lines of its exception and stack."""
        texts = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            texts.append(self.formatStack(record.stack_info))
        return "\n".join(texts)


class JsonFormatter(ConsoleFormatter):
    """One JSON object a line: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``.

    ``requestId`` where a request over REST is served, ``exception`` with a traceback; of a call
    ``event``, ``callGuid``, ``leg``, ``legId``, ``direction`` and what the event has besides.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        call = getattr(record, "call", None)
        entry: dict[str, object] = {
            "time": utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if call is None else record.__dict__["text"],
        }
        if call is not None:
            entry.update(call)
        if request := _request(record):
            entry["requestId"] = request
        if exception := self.traceback(record):
            entry["exception"] = exception
        return json.dumps(entry, default=str)


class CvpFormatter(ConsoleFormatter):
    """``seq: ip: Jan 31 2026 12:00:00.123 +0000: %CVP_12_6_SIP-6-CALL: {Thrd=MainThread} text``.

    `ip` is the address of this server.
    """

    def __init__(self, ip: str) -> None:
        super().__init__()
        self._ip = ip
        self._numbers = count(1)

    def head(self, record: logging.LogRecord) -> str:
        """What stands before the text."""
        at = datetime.fromtimestamp(record.created).astimezone()
        when = f"{at:%b %d %Y %H:%M:%S}.{at.microsecond // 1000:03} {at:%z}"
        call = getattr(record, "call", None)
        severity = _SEVERITIES.get(record.levelno, 6)
        if call is None:
            what = record.name.rpartition(".")[2]
            kind = _NO_WORD.sub("_", what).upper()
        else:
            what = call["event"]
            kind = "CALL"
            if what == "abnormal_end":
                severity, kind = 3, "SIP_CALL_ERROR"
        subsystem = "ICM" if what in _ICM else "IVR" if what in _IVR else "SIP"
        code = f"%CVP_{_VERSION}_{subsystem}-{severity}-{kind}"
        name = "" if call is not None else f"{record.name}: "
        thread = f"{{Thrd={escaped(record.threadName or '')}}}"
        return f"{next(self._numbers)}: {self._ip}: {when}: {code}: {thread} {name}"


def _request(record: logging.LogRecord) -> str:
    request: str = getattr(record, "request", "")
    return request.strip(" []")


def use_format(config: "Config") -> None:
    """Write the log of this process in the form that ``log.format`` names, from now on."""
    form = config.log.format
    formatter: logging.Formatter
    if form == "json":
        formatter = JsonFormatter()
    elif form == "cvp":
        formatter = CvpFormatter(_own_address(config))
    else:
        formatter = ConsoleFormatter()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogThread):
            handler.setFormatter(formatter)


def _own_address(config: "Config") -> str:
    """The address of the first SIP listener; of one on all interfaces, what leads outside."""
    for listen in config.sip.listen:
        host = listen.advertise or listen.host
        if host not in ("0.0.0.0", "::"):  # nosec B104 # compared, not bound
            return host
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nothing is sent
        except OSError:
            return "127.0.0.1"
        host = probe.getsockname()[0]
        return str(host)
