"""The harness counts right, and a run that does not count says so."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.profiling import read_samples
from benchmarks.report import calls_table, figures_table, table
from benchmarks.rounds import Series, spread
from benchmarks.slices import Slice, run_slice
from benchmarks.subjects import BASE, BenchmarkError, Callsim, SippUas, other_checkout
from scenarios.load.sipp_files import message_counts

SLICE = Slice(100, 50.0, 40.0, 40.0, 0.1, 0.1, 0.0, 0, {"100": 10, "180": 0, "200": 100}, ())


def test_a_slice_of_sipp_alone_is_clean(tmp_path: Path) -> None:
    uas = SippUas(tmp_path / "uas", 30)
    try:
        found = run_slice(uas, tmp_path / "caller", 100, 1)
    finally:
        uas.stop()
    assert found.problems == ()
    assert found.calls == 100
    assert found.answers == {"100": 0, "180": 100, "183": 0, "200": 100}
    assert found.cpu_us > 0


def test_what_a_callee_sends_again_counts_once(tmp_path: Path) -> None:
    uas = SippUas(tmp_path / "uas", 30)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.bind(("127.0.0.1", 0))
        caller.settimeout(5)
        port = caller.getsockname()[1]
        lines = [
            f"INVITE {uas.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK1",
            f"From: <sip:a@127.0.0.1:{port}>;tag=1",
            f"To: <{uas.uri}>",
            "Call-ID: unacknowledged",
            "CSeq: 1 INVITE",
            "Content-Length: 0",
        ]
        try:
            caller.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), uas.address)
            answers = [caller.recv(65_536).split(b"\r\n")[0] for _ in range(3)]
            assert uas.sent_again() >= 1
            caller.close()  # nobody is there for the rest
        finally:
            uas.stop()
    assert answers == [b"SIP/2.0 180 Ringing", b"SIP/2.0 200 OK", b"SIP/2.0 200 OK"]


def test_another_checkout_is_measured_beside_this_one(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="make setup"):
        other_checkout(tmp_path)
    made = other_checkout(Path(__file__).parents[2])
    server = made["Callsim, callee, other"](tmp_path / "server", 30)
    assert isinstance(server, Callsim)
    assert server.address[1] > 0
    assert server.stop() == []


def test_the_200_that_counts_is_the_one_to_invite(tmp_path: Path) -> None:
    (tmp_path / "uac_1_counts.csv").write_text(
        "CurrentTime;ElapsedTime;0_INVITE_Sent;0_INVITE_Retrans;4_200_Recv;8_200_Recv;\n"
        "12:00;00:01;5;2;4;3;\n"
    )
    assert message_counts(tmp_path) == {"INVITE_Sent": 5, "0_INVITE_Retrans": 2, "200_Recv": 4}


def test_samples_count_once_below_a_recursive_function() -> None:
    own, below = read_samples(
        [
            "/x/sip/message.py: parse;/x/sip/message.py: parse 2",
            "/x/sip/message.py: parse;/usr/lib/python3.11/json/encoder.py: encode 3",
        ]
    )
    assert own == {"sip/message.py: parse": 2, "json/encoder.py: encode": 3}
    assert below == {"sip/message.py: parse": 5, "json/encoder.py: encode": 3}


def test_the_table_tells_shares_and_dirty_runs() -> None:
    clean = Series([SLICE, replace(SLICE, cpu_us=60.0)], [1.0, 1.0])
    dirty = Series([replace(SLICE, problems=("the generator was saturated",))], [2.0])
    assert dirty.all_problems == ["round 1: the generator was saturated"]
    lines = calls_table({BASE: clean, "other": dirty}, BASE).splitlines()
    assert "100 (10%) 200" in lines[2]
    assert "50 (40-60)" in lines[2]
    assert lines[2].endswith("| yes       |")
    assert lines[3].endswith("| not clean |")
    figures = figures_table({BASE: clean, "other": dirty}, {}, BASE).splitlines()
    assert "| not clean " in figures[3]
    assert "2.00" not in figures[3]


def test_the_spread_is_around_the_median() -> None:
    assert spread([3.0, 1.0, 8.0], 1) == "3.0 (1.0-8.0)"


def test_a_table_lines_up() -> None:
    assert table(["a", "b"], [["one", "2"]]).splitlines() == [
        "| a   | b |",
        "| --- | - |",
        "| one | 2 |",
    ]


@pytest.mark.parametrize("option", [["--rate", "0"], ["--seconds", "many"], ["--rounds", "101"]])
def test_limits_hold(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(option)
    assert ended.value.code == 2
    assert option[0] in capsys.readouterr().err
