"""All flows mixed, with commands and hang-ups at random moments: records agree with the ends.

`make soak ARGS=--mix` is the same with twenty thousand calls.
"""

from collections import Counter

from scenarios.flows import load
from simulator.config import Config
from tests.soak.kinds import DENIED, SIGNS
from tests.soak.mix_virtual import VirtualMix
from tests.soak.vanish import VanishMix

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


def test_peers_that_vanish() -> None:
    """Each call ends by itself, with a record that tells the truth; no table has an entry left.

    `make soak ARGS='--vanish 0.01'` is the same with ten thousand calls.
    """
    noticed = Counter[str]()
    for seed in range(1, 3):
        mix = VanishMix(seed, 150, share=0.1)
        mix.run()
        assert mix.wrong == []
        assert mix.left == {}
        assert {*mix.who} == {"caller", "vxml", "agents", "switch"}
        noticed += mix.noticed
    assert noticed["did not answer"]
    assert noticed["found by the audit"]


def test_a_call_that_nobody_ends_is_seen() -> None:
    class Unaudited(VanishMix):
        def config(self) -> Config:
            config = super().config()
            audit = config.sip.audit.model_copy(update={"every": 0})
            sip = config.sip.model_copy(update={"audit": audit})
            return config.model_copy(update={"sip": sip})

    mix = Unaudited(1, 60, share=0.3)
    mix.run()
    assert {"calls", "without a record", "licences", "sessions"} <= {*mix.left}
    assert any(text.endswith("has no record") for text in mix.wrong)
