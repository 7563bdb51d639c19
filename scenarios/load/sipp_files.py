"""The files that SIPp writes: its statistics, response times and counts of messages."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

FAILURES: Final[Mapping[str, str]] = {
    "FailedUnexpectedMessage": "another message than the scenario expects",
    "FailedMaxUDPRetrans": "no answer, however often it was sent",
    "FailedTimeoutOnRecv": "no message within the scenario's time",
    "FailedTimeoutOnSend": "could not be sent in time",
    "FailedCannotSendMessage": "could not be sent",
    "FailedOutboundCongestion": "the socket was full",
    "FailedTcpConnect": "no TCP connection",
    "FailedTcpClosed": "the TCP connection was closed",
    "FailedCallRejected": "refused as the scenario says",
    "FailedCmdNotSent": "a command could not be sent",
    "FailedRegexpDoesntMatch": "a header or body is not as the scenario wants",
    "FailedRegexpShouldntMatch": "a header or body has what the scenario forbids",
    "FailedRegexpHdrNotFound": "a header is missing",
    "FailedTestDoesntMatch": "a test of the scenario failed",
    "FailedTestShouldntMatch": "a test of the scenario succeeded",
    "FailedStrcmpDoesntMatch": "a comparison of the scenario failed",
    "FailedStrcmpShouldntMatch": "a comparison of the scenario succeeded",
}
"""SIPp's columns of calls that failed, and what they mean."""


def sipp_figures(directory: Path) -> dict[str, str]:
    """The latest line of the statistics that a SIPp in `directory` writes each second."""
    path = directory / "statistics.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter=";") if row.get("Warnings(C)")]
    return rows[-1] if rows else {}


def message_counts(directory: Path) -> dict[str, int]:
    """What the caller sent and received, each by message: ``INVITE_Sent``, ``200_Recv``.

    The first of each name: the 200 is the one to INVITE.
    """
    counts: dict[str, int] = {}
    for path in directory.glob("*_counts.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter=";"))
        if len(rows) < 2:
            continue
        for name, text in zip(*rows[:: len(rows) - 1], strict=False):
            index, _, key = name.partition("_")
            if not (index.isdigit() and text.isdigit()):
                continue
            if key.endswith("_Retrans"):
                key = name
            counts.setdefault(key, int(text))
    return counts


def whole(text: str) -> int:
    """A count that SIPp wrote; zero where it wrote none."""
    return int(text) if text.isdigit() else 0


class AddedLines:
    """A file that grows: `read` gives the whole lines that came since it was asked last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> list[str]:
        """The new ones; none while there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]


class StatisticsFile:
    """What ``-trace_stat`` writes each second, row by row, by the names of its columns."""

    def __init__(self, path: Path) -> None:
        self._lines = AddedLines(path)
        self._names: list[str] = []

    def read(self) -> Iterator[dict[str, str]]:
        """The new rows."""
        for line in self._lines.read():
            fields = line.split(";")
            if not self._names:
                self._names = fields
            elif len(fields) == len(self._names):
                yield dict(zip(self._names, fields, strict=True))


def moment(text: str) -> float:
    """A time of SIPp's (``StartTime``, ``CurrentTime``), in seconds since the epoch."""
    return float(text.split("\t")[-1])


class ResponseTimesFile:
    """What ``-trace_rtt`` writes: each response time by the name of its timer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lines: AddedLines | None = None

    def read(self, began: float) -> Iterator[tuple[float, str, float]]:
        """The new ones: when each was over (seconds since the epoch, SIPp `began` then), its
        timer, and how long it took, in milliseconds."""
        if self._lines is None:
            path = next(self._directory.glob("*_rtt.csv"), None)
            if path is None:
                return
            self._lines = AddedLines(path)
        for line in self._lines.read():
            fields = line.split(";")
            try:
                at, took, name = float(fields[0]), float(fields[1]), fields[2]
            except (ValueError, IndexError):  # the heading
                continue
            yield began + at / 1000, name, took


def unexpected_codes(directory: Path) -> Counter[str]:
    """The status codes that came where the scenario wants something else, as far as
    ``-trace_error_codes`` tells them."""
    found: Counter[str] = Counter()
    for path in directory.glob("*_error_codes.csv"):
        for line in path.read_text("utf-8", "replace").splitlines():
            found.update(code for code in line.rpartition(";")[2].split(",") if code.isdigit())
    return found


def repeated(directory: Path) -> tuple[int, int]:
    """The messages that were sent again, and those that came again, by ``-trace_counts``."""
    sent = came = 0
    for path in directory.glob("*_counts.csv"):
        rows = [line.split(";") for line in path.read_text("utf-8", "replace").splitlines()]
        if len(rows) < 2:
            continue
        way = ""
        for name, text in zip(rows[0], rows[-1], strict=False):
            if name.endswith(("_Sent", "_Recv")):
                way = name[-4:]
            elif name.endswith("_Retrans") and text.isdigit():
                sent += int(text) * (way == "Sent")
                came += int(text) * (way == "Recv")
    return sent, came
