"""All flows mixed, with commands and hang-ups at random moments: records agree with the ends.

`make soak ARGS=--mix` is the same with twenty thousand calls.
"""

from collections import Counter

from scenarios.flows import load
from tests.soak.kinds import DENIED, SIGNS
from tests.soak.mix_virtual import VirtualMix

CALLS = 250
ENOUGH = 3
"""Runs that are to be; further ones only until each flow was in the mix."""

BESIDE = {"router-of-the-user", "vru-return-by-correlation-id"}
"""What is in the mix as well, and is no flow of its own."""


def test_each_call_has_the_record_that_its_ends_saw() -> None:
    """Each declared flow has its sign in the history of some calls."""
    wanted = {*load()} | BESIDE
    assert wanted <= {*SIGNS, DENIED}
    kinds = Counter[str]()
    for seed in range(1, 4 * ENOUGH):
        mix = VirtualMix(seed, CALLS)
        mix.run()
        assert mix.wrong == []
        assert mix.judged + mix.kinds[DENIED] >= CALLS, "and those that phones placed"
        assert {result for _, result in mix.ends} >= {
            "abandoned", "completed", "error", "transferred",
        }  # fmt: skip
        kinds += mix.kinds
        if seed >= ENOUGH and wanted <= {*kinds}:
            break
    assert wanted - {*kinds} == set()
