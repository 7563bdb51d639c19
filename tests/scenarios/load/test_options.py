"""Options: what they mean, and what is said when they cannot be."""

import socket
from argparse import Namespace
from pathlib import Path

import pytest

from scenarios.load.command import load
from scenarios.load.options import criteria_of, profile_of
from simulator.__main__ import _parser


def parsed(*arguments: str) -> Namespace:
    return _parser().parse_args(["load", *arguments])


@pytest.mark.parametrize(
    ("arguments", "profile"),
    [
        ("", "10 calls/s for 30 s"),
        ("--rate 100 --for 2m", "100 calls/s for 120 s"),
        ("--ramp 100:2000 --for 60", "100 to 2000 calls/s over 60 s"),
        ("--step 100:1000:100 --every 5", "100 to 1000 calls/s by 100, 5 s each"),
        ("--rate 7 --soak 30m", "7 calls/s for 1800 s"),
        ("--find-max", "10 calls/s for 5 s"),
    ],
)
def test_profiles(arguments: str, profile: str) -> None:
    assert str(profile_of(parsed(*arguments.split()))) == profile


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--rate 0", "--rate: '0' must be more than 0"),
        ("--rate x", "--rate: 'x' is no number"),
        ("--rate 1e9", "--rate: '1e9' must be more than 0 and at most 20000"),
        ("--rate nan", "--rate: 'nan' must be"),
        ("--ramp 100", "--ramp: '100' is not such as 100:2000"),
        ("--step 1:2:0", "--step: '0' must be more than 0"),
        ("--for soon", "--for: 'soon' is not such as 60, 90s, 30m or 8h"),
        ("--ramp 1:2 --soak 5m", "--soak: not allowed with argument --ramp"),
        ("--generators 0", "--generators: '0' must be a number from 1 to 64"),
        ("--scenario no", "--scenario: there is no scenario 'no'; --list names them"),
        ("--scenario callee-answers", "--scenario: there is no scenario 'callee-answers'"),
        ("--xml /no/such.xml", "--xml: there is no file '/no/such.xml'"),
        ("--callee /no/such.xml", "--callee: '/no/such.xml' is neither a callee of --list nor"),
        ("--number sip:x", "--number: 'sip:x' is no number to dial"),
        ("--max-failed 1x", "--max-failed: '1x' is not such as 10 or 0.1%"),
        ("--p99-answer fast", "--p99-answer: 'fast' is not such as 50ms or 0.2s"),
        ("--url ftp://x", "--url: 'ftp://x' is not such as http://127.0.0.1:8080"),
        ("127.0.0.1:99999", "'127.0.0.1:99999' is not such as 10.0.0.5 or 10.0.0.5:5060"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--every 5", "--every: is the length of a step; add --step"),
        ("--step 1:2:1 --for 5", "--for: a step lasts --every"),
        ("--ramp 1:2 --rate 5", "--rate: --ramp has its own rates"),
        ("--rate 5 --soak 1h --for 5", "--for: --soak says how long"),
        ("127.0.0.1 --pid 999999999", "--pid: there is no process 999999999"),
        ("127.0.0.1:{open} --xml {broken}", "scenario.xml did not start"),
        ("127.0.0.1:{shut}", "nothing listens at 127.0.0.1:{shut} by UDP; `callsim serve`"),
        ("127.0.0.1 --set sip.t1=1", "--set: the server runs already"),
        ("127.0.0.1 --url http://127.0.0.1:9 --user me", "--user: must be NAME:PASSWORD"),
        ("127.0.0.1 --url 127.0.0.1:9 --user a:b", "--url: GET http://127.0.0.1:9/sim/v1"),
        ("127.0.0.1 --url http://127.0.0.1:9 --data-dir /no", "--user: /no/password: No such file"),
        ("--numbers {empty}", "is empty; write one number a line"),
        ("--numbers {bad}", "--numbers: line 2 is no number to dial: 'a b'"),
        ("--xml {bad}", "is no SIPp scenario: it has no <scenario>"),
    ],
)
def test_what_does_not_go_together_is_named(
    tmp_path: Path, arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "broken").write_text("<scenario><send>")
    (tmp_path / "bad").write_text("5000\na b\n")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listens,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other,
    ):
        listens.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))  # nobody gets this port by UDP either, but by asking for it
        names = {
            **{name: tmp_path / name for name in ("broken", "empty", "bad")},
            "open": listens.getsockname()[1],
            "shut": other.getsockname()[1],
        }
        text, said = arguments.format_map(names), said.format_map(names)
        assert load(parsed(*text.split(), "--report", str(tmp_path / "report"))) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "report").glob("*.html"))


def test_the_list_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert load(parsed("--list")) == 0
    told = capsys.readouterr().out.split()
    assert {"uac", "uas", "caller-is-steered", "callee-answers"} <= set(told)


def test_without_matplotlib_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    monkeypatch.setattr("scenarios.load.command._run", lambda _options, _stack: 0)
    assert load(parsed("--report", str(tmp_path))) == 0
    assert "pip install 'callsim[load]'" in capsys.readouterr().err


def test_without_sipp_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert load(parsed()) == 2
    assert "apt-get install sip-tester" in capsys.readouterr().err


def test_criteria_come_from_their_options() -> None:
    options = parsed(*"--max-failed 0.1% --p50-ringing 20ms --p99-answer 50ms".split())
    assert len(criteria_of(options)) == 3
    assert len(criteria_of(parsed("--min-rate", "5"))) == 1
    assert criteria_of(parsed("--min-rate", "5", "--find-max")) == [], "it is that of the search"
