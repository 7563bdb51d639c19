"""The dashboard and the alert rules ask only for what /metrics has; promtool checks the rest."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR

from api.http_figures import HttpFigures
from api.logins import FailedLogins
from tests.simulator.flows.world import World
from tests.support.network import Network

MONITORING = Path(__file__).parents[2] / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0][
    "rules"
]

# What Prometheus itself adds to each sample, and the metric it makes.
ADDED = {"instance", "job"}
UP = {"up": ADDED}

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_BY = re.compile(r"\bby\s*\(([^)]*)\)")
_NAME = re.compile(r"\b(?:callsim|process|python)_\w+|\bup\b")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


@cache
def exposed() -> dict[str, set[str]]:
    """The labels of each sample of /metrics, after a call and a request."""
    world = World(Network(), faults=[{"name": "lost", "method": "REFER", "drop": True}])
    world.connected().hang_up()
    world.run()
    http = HttpFigures()
    http.took("listActiveCalls", 200, 0.01)
    families = [*world.server.metrics.families(), *http.families(FailedLogins(20))]
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        families += collector.collect()
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels, ADDED)
    return found | UP


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Of the dashboard and of the alerts, by where they are."""
    shown = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }
    return shown | {rule["alert"]: rule["expr"] for rule in RULES}


@pytest.mark.parametrize("place", expressions())
def test_an_expression_names_what_there_is(place: str) -> None:
    expression = _TEXT.sub('""', expressions()[place])
    known = exposed()
    names = set(_NAME.findall(_BY.sub("", expression)))
    assert names
    assert names - known.keys() == set()
    for name, matchers in _SELECTOR.findall(expression):
        used = {re.split("[=!]", one)[0].strip() for one in matchers.split(",")}
        assert used - known[name] == set()
    labels = set.union(*(known[name] for name in names))
    for grouped in _BY.findall(expression):
        assert {label.strip() for label in grouped.split(",")} - labels == set()


def test_legends_name_labels_of_their_expression() -> None:
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = _BY.findall(target["expr"])
            kept = {one.strip() for part in grouped for one in part.split(",")} - {"le"}
            assert named == kept if grouped else named <= ADDED, panel["title"]


def test_the_dashboard_is_whole() -> None:
    """What Grafana needs to import it: a data source to choose, places that do not overlap."""
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "instance"}
    metric, label = re.fullmatch(  # type: ignore[union-attr]
        r"label_values\((\w+), (\w+)\)", variables["instance"]["definition"]
    ).groups()
    assert label in exposed()[metric]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells.isdisjoint(taken)
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"])


def test_each_family_of_callsim_is_somewhere_in_use() -> None:
    """Or it is one that is there to be looked up."""
    text = " ".join(expressions().values())
    rare = {"callsim_announcements", "callsim_icm_lookups", "callsim_legs", "callsim_calls_peak"}
    unused = {
        name
        for name in exposed()
        if name.startswith("callsim_")
        and not re.search(rf"\b{re.sub('_(bucket|count|sum)$', '', name)}", text)
        and not name.startswith(tuple(rare))
    }
    assert unused == {
        "callsim_build_info",
        "callsim_http_logins_refused_total",
        "callsim_licences_denied_total",
    }


def test_each_alert_is_tested() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    fired = {rule["alertname"] for one in tests for rule in one["alert_rule_test"]}
    assert fired == {rule["alert"] for rule in RULES}


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=MONITORING)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_alerts_fire_when_they_should() -> None:
    promtool("check", "rules", "alerts.yaml")
    promtool("test", "rules", "alerts_test.yaml")


@needs_promtool
def test_the_dashboard_is_good_promql(tmp_path: Path) -> None:
    """Each expression as a recording rule, Grafana's variables filled in."""
    rules = [
        {"record": f"dashboard:{number}", "expr": target["expr"].replace("$__rate_interval", "1m")}
        for number, target in enumerate(t for panel in panels() for t in panel["targets"])
    ]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)
