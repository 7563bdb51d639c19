"""VXML applications in the configuration: each fault is told with its key and the fix."""

from pathlib import Path

import pytest

from simulator.config import Config, ConfigError, check_config

SOUND = """\
lab:
  embedded: true
  applications:
    menu:
      - prompt: Welcome.
      - name: ask
        collect: {into: choice, prompt: {text: "One or two?", seconds: 2}, accept: ["1", "2"]}
      - branch: {on: choice, cases: {"1": sales}, else: other}
      - name: sales
        set: {group: "sales of {ani}"}
        next: end
      - {name: other, set: {group: other}}
      - {name: end, exit: {callVariable1: "{group}"}}
    short:
      - collect
      - exit
"""


def faults(text: str, folder: Path) -> list[str]:
    path = folder / "plan.yaml"
    path.write_text(text)
    return [str(problem).removeprefix(f"{path}:") for problem in check_config(path)]


def application(*steps: str) -> str:
    lines = "".join(f"      - {step}\n" for step in steps)
    return f"lab:\n  applications:\n    menu:\n{lines}  embedded: true\n"


def test_a_sound_application(tmp_path: Path) -> None:
    assert faults(SOUND, tmp_path) == []


def test_a_plan_with_applications_survives_being_written(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND)
    config = Config.load(path)
    assert set(config.lab.applications) == {"menu", "short"}
    path.write_text(config.to_yaml())
    assert Config.load(path) == config


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            ["collect: {on_failure: agnet}", "{name: agent, exit: }"],
            "4: lab.applications.menu.0.collect.on_failure: 'agnet' is no step of this "
            "application; did you mean 'agent'?",
        ),
        (
            ['branch: {cases: {"1": sales}}', "exit"],
            "4: lab.applications.menu.0.branch.cases.1: 'sales' is no step of this application; "
            "give a step this name",
        ),
        (
            ["{name: a, collect: , next: b}", "exit"],
            "4: lab.applications.menu.0.next: 'b' is no step of this application; known here: a",
        ),
        (
            ["{name: a, collect: }", "{name: a, exit: }"],
            "5: lab.applications.menu.1.name: there is a step 'a' already; choose another name",
        ),
        (
            ["collect: {min: 4, max: 2}"],
            "4: lab.applications.menu.0.collect: 'min' (4) is above 'max' (2); raise 'max'",
        ),
        (
            ["collect: {terminator: '##'}"],
            "4: lab.applications.menu.0.collect.terminator: '##' is not one key of "
            "0123456789*#ABCD; '' for none",
        ),
        (
            ["collect: {accept: '1>2'}"],
            "4: lab.applications.menu.0.collect.accept.0: pattern '1>2' has '>', '*' or '!' "
            "before its end; they stand for the rest of the number",
        ),
        (
            ["collect: {retrys: 3}"],
            "4: lab.applications.menu.0.collect.retrys: is not a known key; did you mean "
            "'retries'? known here: accept, first_digit_timeout, inter_digit_timeout, into, max, "
            "min, no_input, no_match, on_failure, prompt, retries, terminator",
        ),
        (
            ["collect: {first_digit_timeout: 0}"],
            "4: lab.applications.menu.0.collect.first_digit_timeout: must be at least 0.05, not "
            "'0'",
        ),
        (
            ["collect: {into: 'a b'}"],
            "4: lab.applications.menu.0.collect.into: 'a b' is not a variable: 1 to 64 letters, "
            "digits, _ . - [ ]",
        ),
        (
            ["prompt: 'Hello {ani'"],
            "4: lab.applications.menu.0.prompt.text: 'Hello {ani' has a brace that is not around "
            "a variable, as in {ani}",
        ),
        (
            ["{prompt: Hello, exit: }"],
            "4: lab.applications.menu.0: needs exactly one of prompt, collect, set, branch, exit",
        ),
        (
            ["{name: a, exit: , next: a}"],
            "4: lab.applications.menu.0: nothing comes after 'exit'; remove 'next'",
        ),
        (
            ["{name: 'a b', exit: }"],
            "4: lab.applications.menu.0.name: 'a b' is not the name of a step: 1 to 40 letters, "
            "digits, _ . -",
        ),
        (
            ["{name: a, set: {x: '1'}}", "{branch: {cases: {'1': a}, else: a}}"],
            "4: lab.applications.menu.0: leads back to itself and nobody is waited for; put a "
            "collect between",
        ),
        (
            ["exit", "collect"],
            "5: warning: lab.applications.menu.1: no step leads here; name it in a 'next' or in "
            "a branch, or remove it",
        ),
    ],
)
def test_a_fault_names_line_key_and_fix(tmp_path: Path, steps: list[str], expected: str) -> None:
    assert faults(application(*steps), tmp_path) == [expected]


def test_an_application_without_steps(tmp_path: Path) -> None:
    assert faults("lab: {applications: {menu: []}}", tmp_path) == [
        "1: lab.applications.menu: must not be empty"
    ]


def test_an_application_that_is_spelled_otherwise(tmp_path: Path) -> None:
    script = "icm: {scripts: {main: [{self_service: {application: menue}}]}}\n"
    found = faults(SOUND + script + "routes: ['7>=sip:127.0.0.1:1']\n", tmp_path)
    assert found == [
        "17: warning: icm.scripts.main.0.self_service.application: 'menue' is not in "
        "lab.applications; did you mean 'menu'?"
    ]


def test_a_fallback_that_is_spelled_otherwise(tmp_path: Path) -> None:
    script = "icm: {scripts: {main: [answer]}}\n"
    number = "{pattern: '5>', script: main, survival_application: menue}"
    text = f"{SOUND}{script}dialed_numbers: [{number}]\n"
    assert faults(text, tmp_path) == [
        "18: warning: dialed_numbers.0.survival_application: 'menue' is not in "
        "lab.applications; did you mean 'menu'?"
    ]


def test_a_fault_keeps_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(application("collect: {on_failure: nowhere}"))
    with pytest.raises(ConfigError, match="nowhere"):
        Config.load(path)


def test_vxml_servers_are_http(tmp_path: Path) -> None:
    assert faults("vxml: {servers: [sip:10.0.0.1]}", tmp_path) == [
        "1: vxml.servers.0: 'sip:10.0.0.1' does not begin with http:// or https://"
    ]
    assert faults("vxml: {servers: http://10.0.0.1:7000}", tmp_path) == []
