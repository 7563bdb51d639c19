"""ICM scripts in the configuration: both forms, and what is told of bad ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.config import Config, check_config

Write = Callable[[str], Path]

GROUPS = """
  skill_groups: {support: {agents: [1001]}}
  agents: {1001: {}}
lab: {embedded: true}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return path

    return write


def faults(path: Path, *, warnings: bool = False) -> list[str]:
    found = [problem for problem in check_config(path) if problem.warning == warnings]
    return [f"{p.line}: {p.key}: {p.message}" for p in found]


BANK = """\
icm:
  scripts:
    bank:
      greet:
        set: {callVariable1: "{dnis}", user.lang: de}
      hours:
        if: {time: 08:00-18:00, weekday: mon-fri, else: closed}
      menu:
        run_application: {application: menu, branches: {"1": sales}, timeout: closed}
      share:
        percent: {sales: 30, support: 70}
      sales: {queue: {skill_group: support, seconds: 60, timeout: closed, on_failure: again}}
      again:
        requery: {busy: support, no_answer: sales}
      support: {label: 1001}
      closed: release
"""


def test_a_script_as_a_mapping_of_names(write: Write) -> None:
    path = write(BANK + GROUPS)
    assert check_config(path) == []
    steps = Config.load(path).icm.scripts["bank"]
    assert [step.name for step in steps][:3] == ["greet", "hours", "menu"]
    assert [step.kind for step in steps] == [
        "set", "if", "run_application", "percent", "queue", "requery", "label", "release",
    ]  # fmt: skip


def test_a_script_is_written_as_it_is_read(write: Write) -> None:
    config = Config.load(write(BANK + GROUPS))
    again = Config.load(write(config.to_yaml()))
    assert again.icm.scripts == config.icm.scripts


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ("{if: {time: 8-18, then: b}}", "5: icm.scripts.a.a.if.time.0: '8-18' is not a time of"),
        ("{if: {time: 08:00-25:00, then: b}}", "5: icm.scripts.a.a.if.time.0: '08:00-25:00' is"),
        ("{if: {weekday: moon, then: b}}", "5: icm.scripts.a.a.if.weekday.0: 'moon' is not a day"),
        ("{if: {digits: 1-1, then: b}}", "5: icm.scripts.a.a.if.digits.0: pattern '1-1' has"),
        ("{if: {dialed: 1}}", "5: icm.scripts.a.a.if: needs 'then' or 'else'"),
        ("{if: {then: b}}", "5: icm.scripts.a.a.if: needs one of variable, time, weekday, digits"),
        ("{if: {variable: x, then: b}}", "5: icm.scripts.a.a.if: 'variable' needs 'equals'"),
        ("{if: {equals: x, then: b}}", "5: icm.scripts.a.a.if: 'equals', 'above' and 'below' need"),
        ("{if: {dialed: 1, esle: b}}", "5: icm.scripts.a.a.if.esle: is not a known key; did you "
         "mean 'else'?"),
        ("{set: {}}", "5: icm.scripts.a.a: needs a variable to set"),
        ("{set: {callVariable11: x}}", "5: icm.scripts.a.a: callVariables.callVariable11: is not"),
        ("{set: {callVariable1: '{x'}}", "5: icm.scripts.a.a: '{x' may hold names of variables"),
        (f"{{set: {{callVariable1: {'x' * 41}}}}}", "5: icm.scripts.a.a: callVariables.callVaria"),
        ("{percent: {b: 50, c: 40}}", "5: icm.scripts.a.a: the parts of percent are 90 together"),
        ("{percent: {b: 150, c: -50}}", "5: icm.scripts.a.a: no part of percent may be below 0"),
        ("{percent: {b: 50, d: 50}}", "5: icm.scripts.a.a.percent.d: 'd' is no node of this scr"),
        ("{label: 'a b'}", "5: icm.scripts.a.a.label.label: 'a b' may hold {dnis}"),
        ("{queue: {skill_group: x}}", "5: icm.scripts.a.a.queue.skill_group: 'x' is not in icm.s"),
        ("{queue: {skill_group: support, timeout: cc}}", "5: icm.scripts.a.a.queue.timeout: 'cc' "
         "is no node of this script; did you mean 'c'?"),
        ("{run_application: {application: m, branches: {1: x}}}",
         "5: icm.scripts.a.a.run_application.branches.1: 'x' is no node of this script"),
        ("{release: {}, next: x}", "5: icm.scripts.a.a.next: 'x' is no node of this script"),
        ("{release: {}, name: x}", "3: icm.scripts.a: node 'a' is named by its key; remove 'name'"),
        ("{release: {}, answer: {}}", "5: icm.scripts.a.a: needs exactly one of answer, self_serv"),
        ("webhook", "5: icm.scripts.a.a.webhook: needs icm.webhook.url; add it"),
        ("{release: {status: 200}}", "5: icm.scripts.a.a.release.status: must be at least 400"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_node(write: Write, node: str, fault: str) -> None:
    text = f"icm:\n  scripts:\n    a:\n      # first\n      a: {node}\n      b: release\n"
    told = faults(write(f"{text}      c: release\n{GROUPS}"))
    assert len(told) == 1
    assert told[0].startswith(fault)


def test_the_path_of_a_node_in_a_list_has_its_place(write: Write) -> None:
    path = write("icm:\n  scripts:\n    a:\n    - release\n    - release: {status: 1}\n" + GROUPS)
    assert faults(path) == ["5: icm.scripts.a.1.release.status: must be at least 400, not '1'"]


def test_two_nodes_of_one_name(write: Write) -> None:
    text = "icm:\n  scripts:\n    a:\n    - {label: 1001, name: x}\n    - {label: 1001, name: x}\n"
    assert faults(write(text + GROUPS)) == [
        "5: icm.scripts.a.1.name: there is a node 'x' already; choose another name"
    ]


def test_a_node_that_is_never_reached_is_a_warning(write: Write) -> None:
    path = write("icm:\n  scripts:\n    a:\n      a: {label: 1001}\n      b: release\n" + GROUPS)
    assert faults(path) == []
    assert faults(path, warnings=True) == [
        "5: icm.scripts.a.b: node 'b' is never reached; lead to it or remove it"
    ]


def test_a_queue_without_end_leads_nowhere(write: Write) -> None:
    text = "icm:\n  scripts:\n    a:\n      a: {queue: {skill_group: support}}\n      b: release\n"
    assert len(faults(write(text + GROUPS), warnings=True)) == 1
    text = text.replace("support}", "support, seconds: 5}")
    assert faults(write(text + GROUPS), warnings=True) == []


def test_a_loop_without_any_wait(write: Write) -> None:
    text = """\
icm:
  scripts:
    a:
      z: {label: {label: 1001, on_failure: b}}
      b: {set: {callVariable1: x}}
      c: {if: {dialed: "1", then: z, else: d}}
      d: {percent: {b: 50, z: 50}}
"""
    assert faults(write(text + GROUPS)) == [
        "5: icm.scripts.a.b: a call would go round b -> c -> d -> b without ever waiting; put a "
        "queue or an application into the loop, or lead out of it"
    ]


def test_a_loop_of_one(write: Write) -> None:
    text = "icm:\n  scripts:\n    a:\n      a: {set: {user.x: y}, next: a}\n"
    assert faults(write(text + GROUPS))[0].startswith("4: icm.scripts.a.a: a call would go round a")


def test_a_loop_with_a_queue_is_good(write: Write) -> None:
    text = """\
icm:
  scripts:
    a:
      a: {queue: {skill_group: support, seconds: 10}}
      b: {set: {callVariable1: again}, next: a}
"""
    assert check_config(write(text + GROUPS)) == []


def test_a_script_of_a_thousand_quick_nodes(write: Write) -> None:
    nodes = "".join(f"      n{i}: {{set: {{user.x: '{i}'}}}}\n" for i in range(999))
    text = f"icm:\n  scripts:\n    a:\n{nodes}      end: release\n"
    assert check_config(write(text + GROUPS)) == []


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("timezone: Mars/Base", "2: icm.timezone: 'Mars/Base' is not a time zone"),
        ("webhook: {url: 'ftp://h'}", "2: icm.webhook.url: 'ftp://h' does not begin with http://"),
        ("webhook: {timeout: 0}", "2: icm.webhook.timeout: must be at least 0.05"),
        ("agents: {1: {state: asleep}}", "2: icm.agents.1.state: must be 'available', 'not_ready'"),
        ("max_steps: 1", "2: icm.max_steps: must be at least 10"),
    ],
)
def test_settings_of_icm(write: Write, key: str, fault: str) -> None:
    (told,) = faults(write(f"icm:\n  {key}\n"))
    assert told.startswith(fault)
