"""Corner cases of transfers, with SIPp at the far ends: nothing is left 64*T1 after each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scenarios.plugin import SippFactory
from scenarios.runner import SippRun
from tests.support.live_server import LiveServer


@dataclass
class Scene:
    """SIPp at 2000 and 3000, SIPp calls 2000; `guid` is the call."""

    server: LiveServer
    caller: SippRun
    others: list[SippRun]
    guid: str
    _checked: list[SippRun] = field(default_factory=list)

    def finish(self, result: str) -> None:
        """Every SIPp saw what it wanted, nothing is left, and there is the right record."""
        for run in (self.caller, *self.others):
            run.check()
        self.server.settle()
        assert self.server.record(self.guid).call_result == result


Stage = Callable[..., Scene]


@pytest.fixture
def stage(tmp_path: Path, sipp: SippFactory) -> Iterator[Stage]:
    """Set a scene: ``stage("caller-waits-for-bye", "callee-answers", "callee-rings")``."""
    with ExitStack() as stack:

        def begin(
            caller: str, callee: str, target: str = "", *, target_ms: int = 0, **more: Any
        ) -> Scene:
            caller_ms, state = more.pop("caller_ms", 0), more.pop("state", "connected")
            others = [sipp(callee, hold_ms=more.pop("callee_ms", 0))]
            routes = {"2>": others[0].uri}
            if target:
                others.append(sipp(target, hold_ms=target_ms))
                routes["3>"] = others[1].uri
            server = stack.enter_context(LiveServer(tmp_path / "data", routes, **more))
            run = sipp(caller, server.address, hold_ms=caller_ms)
            return Scene(server, run, others, server.call(state) if state else "")

        yield begin


def test_the_transferor_hangs_up_in_the_middle(stage: Stage) -> None:
    scene = stage(
        "caller-answers-reinvite",
        "callee-refers-and-hangs-up",
        "callee-answers",
        target_ms=400,
    )
    scene.server.wait_for_event(scene.guid, "transfer_completed")
    scene.server.terminate(scene.guid)
    scene.finish("transferred")
    assert "callee < BYE" in scene.server.steps(scene.guid)
    assert scene.server.steps(scene.guid)[-1] == "callee > NOTIFY"


def test_a_refer_that_crosses_bye(stage: Stage) -> None:
    scene = stage("caller-hangs-up", "callee-refers-across-bye", caller_ms=200)
    scene.finish("completed")


def test_notify_before_202(stage: Stage) -> None:
    scene = stage("caller-notifies-before-202", "callee-answers")
    scene.server.transfer(scene.guid, label="rf2001")
    scene.finish("transferred")
    assert scene.server.steps(scene.guid)[:3] == [
        "caller > REFER",
        "caller < NOTIFY",
        "caller < 202 REFER",
    ]


def test_no_notify_at_all(stage: Stage) -> None:
    scene = stage("caller-never-notifies", "callee-answers", transfer={"ring_no_answer": 1})
    scene.server.transfer(scene.guid, label="rf2001")
    scene.server.wait_for_event(scene.guid, "transfer_failed")
    assert scene.server.call("connected") == scene.guid
    scene.server.terminate(scene.guid)
    scene.finish("completed")
    (transfer,) = scene.server.transfers(scene.guid)
    assert (transfer.state, transfer.sip_code) == ("failed", 408)


def test_refer_without_a_subscription(stage: Stage) -> None:
    """RFC 4488, our REFER."""
    scene = stage("caller-agrees-to-silence", "callee-answers", transfer={"refer_news": False})
    scene.server.transfer(scene.guid, label="rf2001")
    scene.finish("transferred")


def test_a_phones_refer_without_a_subscription(stage: Stage) -> None:
    scene = stage("caller-refers-quietly", "callee-is-joined", "callee-answers", caller_ms=100)
    scene.server.wait_for_event(scene.guid, "transfer_completed")
    scene.caller.check()
    scene.server.terminate(scene.guid)
    scene.finish("transferred")


def test_bye_overtakes_the_ack(stage: Stage) -> None:
    scene = stage("caller-overtakes-its-ack", "callee-answers", state=None)
    scene.caller.check()
    scene.others[0].check()
    scene.server.settle()
    (call,) = scene.server.seen.values()
    assert scene.server.record(call.guid).call_result == "completed"


def test_glare(stage: Stage) -> None:
    """Both offer at once: 491 both ways, and the transfer succeeds all the same."""
    scene = stage("caller-offers-at-once", "callee-answers", "callee-answers")
    scene.server.transfer(scene.guid, "3000")
    scene.server.wait_for_event(scene.guid, "transfer_completed")
    scene.server.terminate(scene.guid)
    scene.finish("transferred")
    assert "caller < INVITE" not in scene.server.steps(scene.guid), "refused by the stack"


def test_the_target_answers_after_the_caller_has_left(stage: Stage) -> None:
    """Its 200 crosses our CANCEL: ACK and BYE."""
    scene = stage("caller-hangs-up", "callee-answers", "callee-answers-cancelled", caller_ms=800)
    scene.server.transfer(scene.guid, "3000")
    scene.finish("completed")
    (transfer,) = scene.server.transfers(scene.guid)
    assert (transfer.state, transfer.sip_code) == ("cancelled", 487)
    assert "transfer > CANCEL" in scene.server.steps(scene.guid)


def test_the_target_never_answers(stage: Stage) -> None:
    scene = stage(
        "caller-waits-for-bye", "callee-answers", "callee-rings", transfer={"ring_no_answer": 0.5}
    )
    scene.server.transfer(scene.guid, "3000")
    scene.server.wait_for_event(scene.guid, "transfer_failed")
    scene.others[1].check()
    scene.server.terminate(scene.guid)
    scene.finish("completed")


def test_the_target_of_a_phone_never_answers(stage: Stage) -> None:
    scene = stage(
        "caller-waits-for-bye",
        "callee-refers-in-vain",
        "callee-rings",
        transfer={"ring_no_answer": 0.5},
    )
    scene.server.wait_for_event(scene.guid, "transfer_failed")
    scene.server.terminate(scene.guid)
    scene.finish("completed")


def test_a_transfer_of_a_transfer(stage: Stage) -> None:
    """The agent transfers by REFER, then a command sends the caller on by REFER."""
    scene = stage("caller-is-sent-on", "callee-refers", "callee-answers", target_ms=200)
    scene.server.wait_for_event(scene.guid, "transfer_completed")
    scene.others[0].check()
    scene.server.transfer(scene.guid, label="rf2002")
    scene.finish("transferred")
    first, second = scene.server.transfers(scene.guid)
    assert (first.initiated_by, first.state) == ("callee", "completed")
    assert (second.initiated_by, second.method, second.state) == ("rest", "refer", "completed")
    assert scene.server.record(scene.guid).transfer_destination == "2002"
