"""Memory that grows after it has settled is seen, and what swings is not taken for it."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.long import (
    Moment,
    Sample,
    growth,
    main,
    needed_bytes,
    outcome_of,
    run_long,
    trend,
    when,
)
from benchmarks.slices import Slice
from benchmarks.subjects import Callsim

SLICE = Slice(1000, 500.0, 300.0, 250.0, 0.2, 0.1, 0.0, 0, {}, ())


def samples(rise: int) -> list[Sample]:
    """Half an hour: 10 MB more at first, then `rise` more bytes a second; samples swing."""
    return [
        (at, 90_000_000 + min(at, 280) * 40_000 + rise * at + (at // 10 % 2) * 100_000)
        for at in range(0, 1801, 10)
    ]


def test_what_settles_has_not_grown() -> None:
    assert growth(samples(0), 1800, 300, 60) == pytest.approx(0, abs=0.001)
    assert trend(samples(0), 1800, 300) == pytest.approx(0, abs=20_000)
    outcome = outcome_of(SLICE, samples(0), 1800, {})
    assert [target.met for target in outcome.targets] == [True]


def test_what_leaks_has() -> None:
    assert growth(samples(1000), 1800, 300, 60) == pytest.approx(0.0142, abs=0.0005)
    assert trend(samples(1000), 1800, 300) == pytest.approx(3_600_000, rel=0.01)
    outcome = outcome_of(SLICE, samples(1000), 1800, {})
    assert [target.met for target in outcome.targets] == [False]
    assert "1.4" in outcome.tables[0]


def test_a_run_too_short_to_say_is_refused() -> None:
    with pytest.raises(ValueError, match="let it run longer"):
        growth([(0.0, 1)], 1800, 300, 60)
    assert trend([(0.0, 1)], 1800, 300) == 0


def test_records_need_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert needed_bytes(2000, 1800) > 2000 * 1800 * 600
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    assert main(["--rate", "2000"]) == 2
    assert "has 0.0 GB; the records take 5.0 GB" in capsys.readouterr().err


def test_minutes_have_limits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--minutes", "0"])
    assert "0 is not from 0.1 to 120" in capsys.readouterr().err


def test_memory_is_read_while_calls_go_on(tmp_path: Path) -> None:
    server = Callsim(tmp_path / "server")
    try:
        found, watch, problems = run_long(server, tmp_path, 50, 1, 0.1)
    finally:
        assert server.stop() == []
    # How fast it goes is the machine's matter here.
    assert [text for text in problems if "of the rate was reached" not in text] == []
    assert found.calls == 50
    assert len(watch.samples) > 5
    assert all(size > 1_000_000 for _, size in watch.samples)
    assert [moment.at for moment in watch.moments] == [at for at, _ in watch.samples]


def test_it_is_told_when_messages_were_sent_again() -> None:
    moments = [Moment(0, 0, 0.0), Moment(10, 0, 0.5), Moment(20, 7, 1.7), Moment(30, 7, 1.7)]
    assert when(moments) == [
        "at 0.3 min: 7 sent again by the caller; the host had taken 1.2 s of CPU time in 10 s"
    ]
