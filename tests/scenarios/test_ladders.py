"""Each flow of `scenarios/flows` on the wire: the same ladder as in memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scenarios.flows import Flow, load
from tests.support.stage import WireStage, difference

FLOWS = load()


class Stages:
    """One stage for each plan; one that a flow has failed on is not used again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stages: dict[str, WireStage] = {}

    def stage(self, sections: Any) -> WireStage:
        """The stage for a plan, taken until it is given back."""
        return self._stages.pop(repr(sections), None) or WireStage(
            self._directory / str(len(list(self._directory.iterdir()))), sections
        )

    def give_back(self, sections: Any, stage: WireStage) -> None:
        self._stages[repr(sections)] = stage

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
    stage = stages.stage(flow.sections)
    try:
        page = stage.play(flow)
    except BaseException:
        stage.close(failed=True)
        raise
    stages.give_back(flow.sections, stage)
    wrong = difference(flow, page)
    assert not wrong, wrong
