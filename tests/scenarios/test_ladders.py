"""Each flow of `scenarios/flows` on the wire: the same ladder as in memory, and the same trace."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scenarios.capture import Captured
from scenarios.flows import Flow, load
from tests.support.stage import WireStage, difference
from tests.support.traces import check_alike, decoded, traces

FLOWS = load()
TRACED = (
    "standalone",
    "refused",
    "caller-cancels",
    "agent-hangs-up",
    "terminate-by-rest",
    "hold-by-the-caller",
    "self-service-by-digits",
    "blind-transfer",
    "transfer-by-refer",
    "vru-return",
)


class Stages:
    """One stage for each plan; one that a flow has failed on is not used again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stages: dict[str, WireStage] = {}
        self.played: dict[str, tuple[list[Captured], list[bytes]]] = {}

    def play(self, flow: Flow) -> str:
        """Play a flow; its page. What was captured, and what was traced, is in `played`."""
        stage = self._stage(flow.sections)
        try:
            page = stage.play(flow)
            if flow.name in TRACED:
                wire = stage.capture.messages()
                self.played[flow.name] = (wire, traces(stage.server, wire))
        except BaseException:
            stage.close(failed=True)
            raise
        self._stages[repr(flow.sections)] = stage
        return page

    def _stage(self, sections: Any) -> WireStage:
        """The stage for a plan, taken until it is given back."""
        return self._stages.pop(repr(sections), None) or WireStage(
            self._directory / str(len(list(self._directory.iterdir()))), sections
        )

    def close(self) -> None:
        with ExitStack() as stack:
            for stage in self._stages.values():
                stack.callback(stage.close)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    made = Stages(tmp_path_factory.mktemp("stages"))
    yield made
    made.close()


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_the_ladder_is_the_golden_one(flow: Flow, stages: Stages) -> None:
    wrong = difference(flow, stages.play(flow))
    assert not wrong, wrong


def test_our_captures_say_what_tshark_has_captured(stages: Stages, tmp_path: Path) -> None:
    """Ten flows: the same messages in the same order, from and to the same addresses."""
    for name in TRACED:
        if name not in stages.played:
            stages.play(FLOWS[name])
    found = decoded(tmp_path, [one for name in TRACED for one in stages.played[name][1]])
    for name in TRACED:
        check_alike(name, stages.played[name][0], found)
