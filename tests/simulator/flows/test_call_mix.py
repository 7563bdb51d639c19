"""All flows mixed, with commands and hang-ups at random moments: records agree with the ends.

`make soak ARGS=--mix` is the same with twenty thousand calls.
"""

import pytest

from tests.soak.mix import VirtualMix

CALLS = 250


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_call_has_the_record_that_its_ends_saw(seed: int) -> None:
    mix = VirtualMix(seed, CALLS)
    mix.run()
    assert mix.wrong == []
    assert mix.judged >= CALLS, "and those that agents placed"
    assert {result for _, result in mix.ends} == {
        "abandoned", "completed", "error", "transferred",
    }  # fmt: skip
