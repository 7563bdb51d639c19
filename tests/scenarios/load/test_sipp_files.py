"""SIPp's files are read as they grow, and mean what SIPp means."""

from pathlib import Path

import pytest

from scenarios.load.callers import Timeline
from scenarios.load.profile import Profile
from scenarios.load.result import Times
from scenarios.load.sipp_files import (
    AddedLines,
    ResponseTimesFile,
    StatisticsFile,
    moment,
    repeated,
    unexpected_codes,
)


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = AddedLines(path)
    assert lines.read() == []
    path.write_bytes(b"one\ntw")
    assert lines.read() == ["one"]
    with path.open("ab") as file:
        file.write(b"o\r\nthree\n")
    assert lines.read() == ["two", "three"]
    assert lines.read() == []


def test_rows_of_the_statistics(tmp_path: Path) -> None:
    path = tmp_path / "statistics.csv"
    path.write_text("StartTime;OutgoingCall(C);\n2026-11-30\t15:08:17.499878\t17.5;3;\nbroken;\n")
    (row,) = StatisticsFile(path).read()
    assert row["OutgoingCall(C)"] == "3"
    assert moment(row["StartTime"]) == 17.5


def test_response_times(tmp_path: Path) -> None:
    file = ResponseTimesFile(tmp_path)
    assert list(file.read(100)) == []
    path = tmp_path / "uac_1_rtt.csv"
    path.write_text("Date_ms;response_time_ms;rtd_no\n52.001;4;answer\n1.80001e+06;12;ringing\n")
    assert list(file.read(100)) == [(100.052001, "answer", 4), (1900.01, "ringing", 12)]


def test_unexpected_codes_and_repeated_messages(tmp_path: Path) -> None:
    (tmp_path / "a_1_error_codes.csv").write_text("t;00:00:01;\nt;00:00:02;404,404,503,\n")
    assert unexpected_codes(tmp_path) == {"404": 2, "503": 1}
    heading = "CurrentTime;ElapsedTime;0_INVITE_Sent;0_INVITE_Retrans;1_200_Recv;1_200_Retrans;"
    (tmp_path / "a_1_counts.csv").write_text(f"{heading}\nt;e;5;1;4;0;\nt;e;9;3;8;2;\n")
    assert repeated(tmp_path) == (3, 2)


def test_what_came_in_a_row_is_spread_over_our_seconds() -> None:
    timeline = Timeline(Profile.fixed(10, 3), 1000.0)
    timeline.spread("offered", 1000.5, 1001.5, 10)
    timeline.spread("offered", 999.0, 1000.0, 4)  # before the beginning: all in the first
    assert [round(second.offered, 6) for second in timeline.seconds] == [9, 5]
    assert [second.planned for second in timeline.seconds] == [10, 10]


def test_percentiles_by_second_and_of_all() -> None:
    timeline = Timeline(Profile.fixed(10, 3), 1000.0)
    for at, took in ((1000.2, 5), (1000.4, 7), (1002.0, 100)):
        timeline.timed(at, "answer", took)
    timeline.finish()
    assert timeline.seconds[0].times["answer"]["p50"] == 5
    assert timeline.seconds[0].times["answer"]["p99"] == 7
    assert timeline.seconds[1].times == {}
    assert timeline.seconds[2].times["answer"]["count"] == 1
    assert timeline.times["answer"].percentile(99) == 100


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentiles_are_the_nearest_rank(percent: float, value: float) -> None:
    assert Times(range(1, 101)).percentile(percent) == value


def test_times_add_up() -> None:
    times = Times([1, 2, 3])
    times.update(Times([10]))
    assert (len(times), times.mean, times.below(3)) == (4, 4, 2)
    assert Times().summary() == {}
    with pytest.raises(ValueError, match="no values"):
        Times().percentile(50)
