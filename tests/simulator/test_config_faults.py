"""Fault rules in the configuration file, and what is wrong with them by line and key."""

from pathlib import Path

import pytest

from simulator.config import Config, check_config
from simulator.config_faults import SETS, FaultRule

GOOD = """\
faults:
  - set: late-200
    number: "7>"
    delay: {seconds: 0.5, jitter: 0.25}
  - name: refuse
    direction: in
    method: INVITE
    every: 3
    answer:
      status: 503
      headers: {Retry-After: 5}
  - drop: true
    method: ACK
    count: 2
    probability: 0.5
    seed: 9
    peer: "[::1]:5060"
    enabled: false
"""


def test_good_rules(tmp_path: Path) -> None:
    file = tmp_path / "callsim.yaml"
    file.write_text(GOOD)
    late, refuse, drop = Config.load(file).faults
    assert (late.name, late.method, late.status, late.number) == ("late-200", "INVITE", "200", "7>")
    assert late.delay is not None
    assert (late.delay.seconds, late.delay.jitter) == (0.5, 0.25)
    assert refuse.answer is not None
    assert (refuse.answer.status, refuse.answer.headers) == (503, {"Retry-After": "5"})
    assert (drop.drop, drop.count, drop.probability, drop.seed) == (True, 2, 0.5, 9)
    assert (drop.peer, drop.enabled, drop.name) == ("[::1]:5060", False, "")


def test_rules_survive_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    sets = [{"set": name} for name in SETS]
    config = Config.model_validate({"faults": [*sets, {"sdp": {"replace": {"PCMU": "G729"}}}]})
    file = tmp_path / "callsim.yaml"
    file.write_text(config.to_yaml())
    assert Config.load(file).faults == config.faults


@pytest.mark.parametrize(
    ("rule", "line", "key", "told"),
    [
        ("- drop: true\n    methd: ACK", 3, "faults.0.methd", "did you mean 'method'?"),
        ("- method: ACK", 2, "faults.0", "does nothing; give one of drop, delay"),
        ("- set: late-20", 2, "faults.0.set", "did you mean 'late-200'?"),
        ("- delay: {seconds: 0}", 2, "faults.0.delay.seconds", "must be more than 0"),
        ("- delay: {jitter: 1}", 2, "faults.0.delay.seconds", "is missing; add it"),
        ("- drop: true\n    status: 2000", 3, "faults.0.status", "'2000' is not a SIP code"),
        ("- drop: maybe", 2, "faults.0.drop", "must be true or false"),
        ("- set: lossy\n  - set: lossy", 3, "faults.1", "is there twice; give another name"),
        ("- drop: true\n    peer: cucm.lab", 3, "faults.0.peer", "is not an IP address"),
    ],
    ids=str,
)
def test_faulty_rules(tmp_path: Path, rule: str, line: int, key: str, told: str) -> None:
    file = tmp_path / "callsim.yaml"
    file.write_text(f"faults:\n  {rule}\n")
    (problem,) = check_config(file)
    assert (problem.line, problem.key) == (line, key)
    assert told in problem.message


@pytest.mark.parametrize("name", SETS)
def test_each_set_has_one_action(name: str) -> None:
    rule = FaultRule.model_validate({"set": name})
    assert rule.name == name
    assert rule.action in SETS[name][1]


def test_another_action_takes_the_place_of_that_of_a_set() -> None:
    rule = FaultRule.model_validate({"set": "late-200", "duplicate": 1})
    assert (rule.action, rule.delay, rule.status) == ("duplicate", None, "200")
