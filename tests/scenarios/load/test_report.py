"""The report: all that was measured, nothing that could run, every text escaped."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from html.parser import HTMLParser

import pytest

from scenarios.load.plots import charts
from scenarios.load.report import html, junit
from scenarios.load.result import Checked, Times, Verdict
from tests.scenarios.load.support import result

HOSTILE = "<script>alert(1)</script>\"'&\x00$x^{2}$"


class Page(HTMLParser):
    """The tags of a page, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@cache
def hostile() -> str:
    seconds = result().seconds
    seconds[0].times[HOSTILE] = {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    return html(
        result(
            seconds=seconds,
            settings={"scenario": HOSTILE, "load": HOSTILE, "server": HOSTILE, HOSTILE: HOSTILE},
            times={HOSTILE: Times([1.0])},
            causes={HOSTILE: 1},
            verdict=Verdict("server", (HOSTILE,)),
            server={HOSTILE: 1.0},
            checks=[Checked(HOSTILE, HOSTILE, HOSTILE, good=False)],
            broken=HOSTILE,
            notes=[HOSTILE],
            tries=[{"rate": 1.0, "clean": True, "failed": 0, "again": 0, "saturated": HOSTILE}],
        )
    )


def test_text_from_outside_is_text() -> None:
    page = Page(hostile())
    assert set(page.tags) <= set(
        "html head meta title style body main h1 h2 p div strong ul li table thead tr th tbody "
        "td b span figure img details summary".split()
    )
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "".join(page.words).count("<script>alert(1)</script>") >= 12
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    assert sources
    assert all(str(source).startswith("data:image/svg+xml;base64,") for source in sources)


def test_nothing_is_fetched_or_run() -> None:
    text = hostile()
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy[0].startswith(
        "default-src &#x27;none&#x27;; img-src data:; style-src &#x27;sha256-"
    )
    assert "unsafe" not in policy[0]
    assert not re.search(r"https?://|javascript:|@import|url\(", text)


def test_the_plots_have_no_markup_of_others() -> None:
    pictures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", hostile())
    assert len(pictures) >= 5
    for picture in pictures:
        tree = ElementTree.fromstring(base64.b64decode(picture))
        assert not [one for one in tree.iter() if "script" in str(one.tag)]


def test_what_was_measured_is_shown() -> None:
    words = " ".join(Page(html(result())).words)
    for text in ("Nobody was saturated", "all went well", "10", "1 (10.00%)", "8 ms",
                 "another message than the scenario expects", "INVITE to 200"):  # fmt: skip
        assert text in words
    assert "Criteria" not in words


def test_charts_show_what_there_is() -> None:
    titles = [chart.title for chart in charts(result())]
    assert titles == ["Calls", "INVITE to 200", "Messages sent again", "CPU", "Memory"]
    (again,) = [chart for chart in charts(result()) if chart.title == "Messages sent again"]
    assert [line.label for line in again.lines] == ["by the callers"]


def test_without_matplotlib_there_are_no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.load.report.can_draw", lambda: False)
    page = Page(html(result()))
    assert "img" not in page.tags
    assert "table" in page.tags


def test_junit_has_a_case_for_each_criterion() -> None:
    checks = [Checked("max-failed", "at most 0", "1 of 10", good=False)]
    checks.append(Checked(HOSTILE, "at least 1", "4.5", good=True))
    (suite,) = ElementTree.fromstring(junit(result(checks=checks)))
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("3", "1")
    run, failed, good = suite.iter("testcase")
    assert (run.attrib["name"], run.find("failure")) == ("run", None)
    failure = failed.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "at most 0: 1 of 10"
    assert good.attrib["name"] == HOSTILE.replace("\x00", "?")


def test_a_run_that_broke_off_is_a_failure_in_junit() -> None:
    (suite,) = ElementTree.fromstring(junit(result(broken="the server ended")))
    (failure,) = suite.iter("failure")
    assert failure.attrib["message"] == "the server ended"


@pytest.mark.parametrize("good", [True, False])
def test_the_json_has_it_all(good: bool) -> None:
    found = result(checks=[Checked("a", "b", "c", good)])
    assert found.good is good
    text = json.loads(json.dumps(found.as_json()))
    assert text["totals"]["rate"] == 4.5
    assert text["times"]["answer"]["p99"] == 8.0
    assert text["seconds"][0]["times"]["answer"]["p50"] == 3.0
    assert text["criteria"][0]["good"] is good
