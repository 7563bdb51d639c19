"""Bar charts of a run, as PNG beside its JSON; matplotlib comes with ``.[load]``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

_OURS: Final = "#2a78b8"
_BASE: Final = "#777777"
_PEERS: Final = "#d98a29"
_DIRTY: Final = "#cccccc"


class NoPlots(Exception):
    """There is no matplotlib."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with the lowest and the highest of its rounds; `clean` when it counts."""

    label: str
    value: float
    low: float
    high: float
    clean: bool = True
    text: str = ""

    @property
    def colour(self) -> str:
        """By who it is."""
        if not self.clean:
            return _DIRTY
        if self.label.startswith("Callsim"):
            return _OURS
        return _BASE if self.label.startswith("SIPp") else _PEERS


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of its own file, whose name ends in `slug`."""

    slug: str
    title: str
    axis: str
    bars: Sequence[Bar]


def charts(figures: Mapping[str, Any]) -> list[Chart]:
    """What the figures of a run have to show."""
    found = []
    if calls := figures.get("calls"):
        bars = [_ratio(name, one) for name, one in calls.items() if one["ratios"]]
        found.append(Chart("cpu", "CPU per call", "times SIPp uas at the same rate", bars))
    if held := figures.get("held"):
        bars = [
            Bar(name, one["bytes_each"], one["bytes_each"], one["bytes_each"], not one["problems"])
            for name, one in held.items()
        ]
        found.append(Chart("held", "Memory per held call", "bytes", bars))
    if highest := figures.get("highest"):
        bars = [_highest(name, one) for name, one in highest.items() if one["rates"]]
        found.append(Chart("highest", "Highest clean rate of one process", "calls/s", bars))
    return found


def _ratio(name: str, one: Mapping[str, Any]) -> Bar:
    ratios = one["ratios"]
    label = f"{name}, {one['rate']:g}/s" if " at " not in name else name
    text = f"{median(ratios):.2f} ({one['cpu_us']:.0f} us)"
    return Bar(label, median(ratios), min(ratios), max(ratios), not one["problems"], text)


def _highest(name: str, one: Mapping[str, Any]) -> Bar:
    rates = one["rates"]
    text = f"{'at least ' if one['lower_bound'] else ''}{median(rates):,.0f}"
    return Bar(name, median(rates), min(rates), max(rates), True, text)


def plot(figures: Mapping[str, Any], output: Path) -> list[Path]:
    """Draw the charts of a run beside `output`. Raises NoPlots without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPlots("No plots: pip install -e '.[load]' adds matplotlib") from error
    paths = []
    for chart in charts(figures):
        figure = Figure(figsize=(9, 1.2 + 0.45 * len(chart.bars)), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.subplots(), chart)
        path = output.with_name(f"{output.stem}-{chart.slug}.png")
        figure.savefig(path, dpi=120)
        paths.append(path)
    return paths


def _draw(axes: Any, chart: Chart) -> None:
    places = range(len(chart.bars))
    bars = chart.bars
    spread = [[bar.value - bar.low for bar in bars], [bar.high - bar.value for bar in bars]]
    axes.barh(
        places,
        [bar.value for bar in bars],
        color=[bar.colour for bar in bars],
        xerr=spread,
        error_kw={"ecolor": "#333333", "capsize": 3},
    )
    axes.set_yticks(places, [bar.label for bar in bars])
    axes.invert_yaxis()
    most = max(bar.high for bar in bars)
    for place, bar in zip(places, bars, strict=True):
        text = bar.text or f"{bar.value:,.0f}"
        axes.text(
            bar.high + most * 0.02, place, text if bar.clean else f"{text}, not clean", va="center"
        )
    axes.set_xlim(0, most * 1.3)
    axes.set_xlabel(chart.axis)
    axes.set_title(chart.title)
    axes.spines[["top", "right"]].set_visible(False)
