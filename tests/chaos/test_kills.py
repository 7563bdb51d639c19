"""kill -9 and restart under load: each call has the one record it must have."""

from pathlib import Path

import pytest

from scenarios.server import ServerError, ServerProcess
from simulator.cdr_records import CdrRecord
from simulator.journal import CUT_OFF
from tests.chaos.kills import Stage, journal_size, kill_often
from tests.chaos.verdict import judge


def test_two_kills(tmp_path: Path) -> None:
    """The short form of `make chaos`."""
    verdict = kill_often(tmp_path, kills=2, rate=40, seed=7)
    assert verdict.good, verdict
    assert verdict.ended > 50
    assert verdict.cut_off > 0  # some calls were up
    assert journal_size(tmp_path) < 2 << 20


def test_a_call_that_was_up_is_an_error(tmp_path: Path) -> None:
    with Stage(tmp_path, rate=10, seconds=1) as stage:
        stage.wait_for_more("answered", 1)
        stage.kill()
        stage.start()
        assert "calls were up (result error" in stage.server.errors
        records = stage.server.wait_for(stage.server.cdrs, "the record")
        record = next(one for one in records if one.error_code == CUT_OFF)
        assert (record.call_result, record.cause) == ("error", "Error")
        assert record.call_end_time == record.call_start_time
        assert (record.calling_number, record.called_number) == ("1000", "5000")
        assert record.call_server_hostname == "callsim"
        verdict = stage.finish()
    assert verdict.good, verdict


def test_a_second_server_in_the_same_folder(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as first:
        with pytest.raises(ServerError, match=r"server\.data_dir: another server runs on"):
            ServerProcess(tmp_path)
        assert first.running


def test_a_clean_end_leaves_nothing(tmp_path: Path) -> None:
    with Stage(tmp_path, rate=20, seconds=1) as stage:
        assert stage.finish().good
        stage.start()
        assert "ended without notice" not in stage.server.errors
        assert all(record.call_result == "completed" for record in stage.server.cdrs())


# -- the judge -----------------------------------------------------------------------------

KILL = 1_700_000_010.0


def record(call_id: str, at: float, error: str | None = None) -> CdrRecord:
    start = int((KILL + at) * 1000)
    return CdrRecord(
        f"{at}",
        start,
        start,
        call_result="error" if error else "completed",
        sip_call_id=call_id,
        error_code=error,
    )


LOG = ["answered 1@h", "ended 1@h BYE", "answered 2@h", "ended 2@h INVITE"]


def test_the_judge_is_content() -> None:
    records = [record("1@h", -2), record("2@h", -1, CUT_OFF), record("2@h", 1)]
    verdict = judge(LOG, records, [KILL])
    assert verdict.good, verdict
    assert (verdict.answered, verdict.ended, verdict.records, verdict.cut_off) == (2, 1, 3, 1)


@pytest.mark.parametrize(
    ("records", "missing", "double", "wrong"),
    [
        ([record("2@h", -1, CUT_OFF)], 2, 0, 0),
        ([record("1@h", -2)], 1, 0, 0),
        ([record("1@h", -2, CUT_OFF), record("2@h", -1)], 1, 0, 0),
        ([record("1@h", -2), record("1@h", 1), record("2@h", -1)], 0, 1, 0),
        ([record("1@h", -2), record("2@h", -2), record("2@h", -1)], 0, 1, 0),
        ([record("1@h", -2), record("2@h", -2, CUT_OFF), record("2@h", -1)], 0, 1, 0),
        ([record("1@h", -2), record("2@h", 2, CUT_OFF)], 0, 0, 1),
    ],
)
def test_the_judge_sees_what_is_wrong(
    records: list[CdrRecord], missing: int, double: int, wrong: int
) -> None:
    verdict = judge(LOG, records, [KILL])
    found = (len(verdict.missing), len(verdict.double), len(verdict.wrong))
    assert found == (missing, double, wrong)
    assert not verdict.good
