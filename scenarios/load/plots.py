"""The plots of a load run, by matplotlib, which comes with the extra ``load``."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from scenarios.load.result import Result, Second
from scenarios.load.timers import NAMES

_BLUE: Final = "#1f6fb2"
_GREEN: Final = "#2c8a4b"
_RED: Final = "#b8442a"
_ORANGE: Final = "#d98a29"
_GREY: Final = "#8a8f98"
_DARK: Final = "#3b4252"
_SIZE: Final = (9.0, 2.9)

Value = Callable[[Second], float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over time."""

    label: str
    value: Value
    colour: str
    style: str = "-"
    width: float = 1.5


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same time; `axis` names what goes up."""

    title: str
    axis: str
    lines: tuple[Line, ...]


def _field(name: str, factor: float = 1.0) -> Value:
    def value(second: Second) -> float | None:
        found = getattr(second, name)
        return None if found is None else found * factor

    return value


def _time(timer: str, percentile: str) -> Value:
    return lambda second: second.times.get(timer, {}).get(percentile)


def charts(result: Result) -> list[Chart]:
    """What there is to show; a line without any value is left out, and a chart without lines."""
    found = [
        Chart(
            "Calls",
            "calls/s",
            (
                Line("planned", _field("planned"), _GREY, ":"),
                Line("offered", _field("offered"), _BLUE, width=3),
                Line("completed", _field("completed"), _GREEN),
                Line("failed", _field("failed"), _RED),
                Line("refused, says the server", _field("refused"), _ORANGE, "--"),
            ),
        )
    ]
    for timer in result.times:
        lines = (
            Line("p50", _time(timer, "p50"), _BLUE),
            Line("p95", _time(timer, "p95"), _ORANGE),
            Line("p99", _time(timer, "p99"), _RED),
        )
        found.append(Chart(NAMES.get(timer, f"Timer {_plain(timer)}"), "ms", lines))
    found += [
        Chart(
            "Messages sent again",
            "messages/s",
            (
                Line("by the callers", _field("again"), _BLUE),
                Line("by the callee", _field("behind"), _GREEN),
                Line("by the server, as it says", _field("server_again"), _RED),
            ),
        ),
        Chart("Calls open", "calls", (Line("at SIPp", _field("active"), _BLUE),)),
        Chart(
            "CPU",
            "% of a core",
            (
                Line("busiest SIPp", _field("generator", 100), _BLUE),
                Line("server", _field("server", 100), _RED),
                Line("server had to wait", _field("server_waits", 100), _ORANGE, "--"),
                Line("machine, % of all cores", _field("machine", 100), _GREY, ":"),
            ),
        ),
        Chart(
            "Memory",
            "MB",
            (
                Line("server", _field("server_memory"), _RED),
                Line("all SIPps that call", _field("generator_memory"), _BLUE),
            ),
        ),
    ]
    kept = []
    for chart in found:
        seen = tuple(line for line in chart.lines if _seen(line, result.seconds))
        if seen:
            kept.append(Chart(chart.title, chart.axis, seen))
    return kept


def _plain(text: str) -> str:
    """What the font has, and no control characters, which have no place in SVG."""
    return "".join(one if " " <= one <= "~" else "?" for one in text)


def _seen(line: Line, seconds: Sequence[Second]) -> bool:
    return any(line.value(second) for second in seconds)


def can_draw() -> bool:
    """Whether matplotlib is there: a report goes without plots otherwise."""
    return find_spec("matplotlib") is not None


def _matplotlib() -> tuple[Any, Any]:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Text stays text, and is drawn by the browser; nothing in it is markup.
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "callsim",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.parse_math": False,
            "axes.edgecolor": _GREY,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
        }
    )
    return Figure, FigureCanvasAgg


def svg(chart: Chart, seconds: Sequence[Second]) -> bytes:
    """One chart as an SVG document. Raises ImportError."""
    make, canvas = _matplotlib()
    figure = make(figsize=_SIZE, layout="constrained")
    canvas(figure)
    _draw(figure.subplots(), chart, seconds)
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def png(result: Result, path: Path, title: str) -> None:
    """All charts as one picture. Raises ImportError."""
    make, canvas = _matplotlib()
    drawn = charts(result)
    figure = make(figsize=(_SIZE[0], 0.6 + _SIZE[1] * len(drawn)), layout="constrained")
    canvas(figure)
    figure.suptitle(_plain(title), fontsize=11, color=_DARK)
    rows = figure.subplots(len(drawn), 1, squeeze=False)
    for (axes,), chart in zip(rows, drawn, strict=True):
        _draw(axes, chart, result.seconds)
    figure.savefig(path, dpi=110)


def _draw(axes: Any, chart: Chart, seconds: Sequence[Second]) -> None:
    for line in chart.lines:
        points = [(one.at, line.value(one)) for one in seconds]
        marker = "." if len(points) < 40 else ""
        axes.plot(
            [at + 0.5 for at, value in points if value is not None],
            [value for _, value in points if value is not None],
            color=line.colour,
            linestyle=line.style,
            linewidth=line.width,
            marker=marker,
            markersize=4,
            label=line.label,
        )
    axes.set_title(chart.title, color=_DARK)
    axes.set_ylabel(chart.axis)
    axes.set_xlabel("seconds from the beginning")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, max(1.0, len(seconds)))
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(chart.lines),
        frameon=False,
        fontsize=8,
        borderaxespad=0.2,
    )
