"""The report of a load run as one HTML file that needs nothing else, and as JUnit XML.

No script; every text is escaped; plots are pictures inside the file. The Content-Security-Policy
lets nothing else through.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from scenarios.load.plots import Chart, can_draw, charts, svg
from scenarios.load.result import Result
from scenarios.load.timers import NAMES

_CSS: Final = """
:root{color-scheme:light dark;--ink:#1f2733;--soft:#667085;--line:#e3e6eb;--paper:#fff;
--back:#f5f6f8;
--good:#1e7d43;--bad:#b8331f;--warn:#a8650b}
@media (prefers-color-scheme:dark){
:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#343b46;--paper:#1d232c;
--back:#14181e;--good:#5ac285;--bad:#f0806d;--warn:#e0a458}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:24px;margin:0}h2{font-size:17px;margin:34px 0 10px}
.sub{color:var(--soft);margin:2px 0 20px}
.card,figure{background:var(--paper);border:1px solid var(--line);border-radius:8px;margin:0 0 12px}
.card{padding:14px 18px}.card p{margin:4px 0}.card strong{font-size:17px}
.card ul{margin:6px 0 2px;padding-left:20px}
.good{border-left:5px solid var(--good)}.bad{border-left:5px solid var(--bad)}
.warn{border-left:5px solid var(--warn)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(145px,1fr));gap:10px}
.tiles div{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:10px 14px}
.tiles b{display:block;font-size:21px;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:13px}
figure{padding:8px;background:#fff}figure img{display:block;width:100%;height:auto}
.scroll{overflow-x:auto;background:var(--paper);border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:13px}
th:first-child,td:first-child{text-align:left;min-width:8em;white-space:normal;overflow-wrap:anywhere}
.words td:first-child{min-width:12em}td.text{min-width:6em}
.words th,td.text{text-align:left;white-space:normal;overflow-wrap:anywhere}
tr:last-child td{border-bottom:0}
.pass{color:var(--good);font-weight:600}.fail{color:var(--bad);font-weight:600}
details summary{cursor:pointer;margin:34px 0 10px;font-weight:600}
"""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_ROWS: Final = 600
_MET: Final = '<td class="pass">met</td>'
_NOT_MET: Final = '<td class="fail">not met</td>'

WHO: Final = {
    "generator": "The generator (SIPp) was saturated",
    "server": "The server was saturated",
    "machine": "The machine was saturated",
    "none": "Nobody was saturated",
}


def html(result: Result) -> str:
    """The whole page."""
    digest = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'"
    title = f"Load run: {result.settings.get('scenario', '')}, {result.settings.get('load', '')}"
    when = datetime.fromtimestamp(result.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    body = "".join(
        [
            f"<h1>{_text(title)}</h1>",
            f'<p class="sub">{_text(when)}, against {_text(result.settings.get("server", ""))}</p>',
            _verdict(result),
            _criteria(result),
            "<h2>Figures</h2>",
            _tiles(result),
            _tries(result),
            _times(result),
            "<h2>Over time</h2>",
            *(_figure(result, chart) for chart in charts(result) if can_draw()),
            _two_columns("Failures by cause", ("cause", "calls"), _counts(result.causes.items())),
            _two_columns(
                "What the server counted meanwhile",
                ("count", "grown by"),
                _counts(result.server.items()),
            ),
            _two_columns("How it was run", ("setting", "value"), result.settings.items()),
            _seconds(result),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_text(policy)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_CSS}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _text(value: object) -> str:
    return escape(str(value), quote=True)


def _verdict(result: Result) -> str:
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in result.verdict.reasons)
    kind = "good" if result.verdict.saturated == "none" else "warn"
    broken = ""
    if result.broken:
        broken = (
            '<div class="card bad"><strong>The run broke off</strong>'
            f"<p>{_text(result.broken)}. The figures are those up to then.</p></div>"
        )
    notes = "".join(f'<div class="card warn"><p>{_text(note)}</p></div>' for note in result.notes)
    who = WHO.get(result.verdict.saturated, result.verdict.saturated)
    card = f'<div class="card {kind}"><strong>{_text(who)}</strong><ul>{reasons}</ul></div>'
    return broken + (notes + card if result.tries else card + notes)


def _criteria(result: Result) -> str:
    if not result.checks:
        return ""
    rows = "".join(
        f'<tr><td>{_text(check.name)}</td><td class="text">{_text(check.wanted)}</td>'
        f'<td class="text">{_text(check.came)}</td>'
        f"{_MET if check.good else _NOT_MET}</tr>"
        for check in result.checks
    )
    return "<h2>Criteria</h2>" + _table(("criterion", "wanted", "came", ""), rows, "words")


def _tiles(result: Result) -> str:
    totals = result.totals
    answer = result.times.get("answer")
    tiles = [
        (f"{totals.offered:,}", "calls offered"),
        (f"{totals.completed:,}", "calls completed"),
        (f"{totals.rate:,.1f}", "completed a second"),
        (f"{totals.failed + totals.unfinished:,} ({totals.failed_share:.2%})", "failed"),
        (f"{totals.again:,}", "messages callers sent again"),
        (f"{totals.came_again:,}", "messages that came to them again"),
    ]
    if totals.behind:
        tiles.append((f"{totals.behind:,}", "messages the callee sent again"))
    if answer:
        tiles.append((f"{answer.percentile(99):g} ms", "INVITE to 200, p99"))
    shown = "".join(
        f"<div><b>{_text(value)}</b><span>{_text(name)}</span></div>" for value, name in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _times(result: Result) -> str:
    rows = "".join(
        f"<tr><td>{_text(NAMES.get(name, f'timer {name}'))}</td>"
        + "".join(
            f"<td>{times.summary()[key]:,.4g}</td>" for key in ("mean", "p50", "p95", "p99", "max")
        )
        + f"<td>{len(times):,}</td></tr>"
        for name, times in result.times.items()
        if times
    )
    if not rows:
        return ""
    heading = ("ms, by SIPp's clock of 1 ms", "mean", "p50", "p95", "p99", "longest", "count")
    return "<h2>Response times</h2>" + _table(heading, rows)


def _tries(result: Result) -> str:
    if not result.tries:
        return ""
    rows = "".join(
        f"<tr><td>{one['rate']:g}</td><td>{'clean' if one['clean'] else 'not clean'}</td>"
        f"<td>{one['failed']:,}</td><td>{one['again']:,}</td><td>{_text(one['saturated'])}</td></tr>"
        for one in result.tries
    )
    heading = ("calls/s tried", "", "failed", "sent again", "saturated")
    return "<h2>The search</h2>" + _table(heading, rows)


def _figure(result: Result, chart: Chart) -> str:
    data = base64.b64encode(svg(chart, result.seconds)).decode()
    alt = f"{chart.title}: {', '.join(line.label for line in chart.lines)}, by seconds"
    return f'<figure><img alt="{_text(alt)}" src="data:image/svg+xml;base64,{data}"></figure>'


def _counts(pairs: Iterable[tuple[str, float]]) -> list[tuple[str, str]]:
    return [(name, f"{value:,.10g}") for name, value in pairs]


def _two_columns(title: str, heading: Sequence[str], pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td>{_text(name)}</td><td class="text">{_text(value)}</td></tr>'
        for name, value in pairs
    )
    return f"<h2>{_text(title)}</h2>" + _table(heading, rows, "words") if rows else ""


def _seconds(result: Result) -> str:
    rows = "".join(
        f"<tr><td>{one.at:g}</td><td>{one.planned:,.0f}</td><td>{one.offered:,.0f}</td>"
        f"<td>{one.completed:,.0f}</td><td>{one.failed:,.0f}</td><td>{one.again:,.0f}</td>"
        f"<td>{one.active:,}</td><td>{_p99(one.times.get('answer'))}</td>"
        f"<td>{_share(one.generator)}</td><td>{_share(one.server)}</td><td>{_share(one.machine)}</td></tr>"
        for one in result.seconds[:_MOST_ROWS]
    )
    heading = (
        *("second", "planned", "offered", "completed", "failed", "sent again", "open"),
        *("p99 answer, ms", "SIPp", "server", "machine"),
    )
    more = len(result.seconds) - _MOST_ROWS
    rest = f"<p>{more:,} more are in the JSON.</p>" if more > 0 else ""
    return f"<details><summary>Second by second</summary>{_table(heading, rows)}{rest}</details>"


def _p99(times: dict[str, float] | None) -> str:
    return f"{times['p99']:g}" if times else ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _table(heading: Sequence[str], rows: str, kind: str = "numbers") -> str:
    names = "".join(f"<th>{_text(name)}</th>" for name in heading)
    head = f"<thead><tr>{names}</tr></thead>"
    return f'<div class="scroll"><table class="{kind}">{head}<tbody>{rows}</tbody></table></div>'


def junit(result: Result) -> str:
    """The criteria as test cases; that the run went to its end is one as well."""
    cases = [("run", result.broken, "the run went to its end")]
    cases += [
        (check.name, "" if check.good else f"{check.wanted}: {check.came}", check.came)
        for check in result.checks
    ]
    failed = sum(bool(fault) for _, fault, _ in cases)
    took = f"{result.totals.seconds:.3f}"
    body = "".join(
        f'  <testcase classname="callsim.load" name="{_xml(name)}" time="{took}">'
        + (
            f'<failure message="{_xml(fault)}"/>'
            if fault
            else f"<system-out>{_xml(out)}</system-out>"
        )
        + "</testcase>\n"
        for name, fault, out in cases
    )
    when = datetime.fromtimestamp(result.started, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    properties = "".join(
        f'    <property name="{_xml(name)}" value="{_xml(value)}"/>\n'
        for name, value in {**result.settings, "saturated": result.verdict.saturated}.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites>\n <testsuite name="callsim load" tests="{len(cases)}" failures="{failed}" '
        f'errors="0" skipped="0" time="{took}" timestamp="{when}">\n'
        f"   <properties>\n{properties}   </properties>\n{body} </testsuite>\n</testsuites>\n"
    )


def _xml(value: object) -> str:
    return _text(_NOT_XML.sub("?", str(value)))
