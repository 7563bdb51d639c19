"""The figures of a run, as tables to read and as JSON to keep."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from benchmarks.held import Held
from benchmarks.rounds import Series, spread
from benchmarks.slices import Slice

NOT_CLEAN: Final = "not clean"


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names the machine."""
    version = subprocess.run(["sipp", "-v"], capture_output=True, text=True, check=False).stdout
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        "sipp": next((line.strip() for line in version.splitlines() if line.strip()), ""),
    }


def as_json(
    settings: Mapping[str, object], series: Mapping[str, Series], held: Mapping[str, Held]
) -> dict[str, Any]:
    """All figures of a run."""
    return {
        "machine": machine(),
        "settings": dict(settings),
        "calls": {
            name: {
                "rate": one.rate,
                "cpu_us": median(one.cpu_us) if one.slices else None,
                "ratio": median(one.ratios) if one.slices else None,
                "ratios": one.ratios,
                "later_us": one.later_us,
                "slices": [asdict(slice_) for slice_ in one.slices],
                "problems": one.all_problems,
            }
            for name, one in series.items()
        },
        "held": {name: asdict(one) for name, one in held.items()},
    }


def calls_table(series: Mapping[str, Series], base: str) -> str:
    """CPU per call, the median with the lowest and highest slice, and what it is a multiple of."""
    heading = (
        "server",
        "calls/s",
        "answers to INVITE",
        "CPU per call, us",
        f"x {base}",
        "later, us",
        "other threads, us",
        "core",
        "generator",
        "other work, cores",
        "saturated",
        "clean",
    )
    rows = []
    for name, one in series.items():
        slices = one.slices
        if not slices:
            rows.append((name, f"{one.rate:g}", *["-"] * 9, NOT_CLEAN))
            continue
        others = median([slice_.cpu_us - slice_.main_thread_us for slice_ in slices])
        rows.append(
            (
                name,
                f"{one.rate:g}",
                _answers(slices[-1]),
                spread(one.cpu_us),
                spread(one.ratios, 2),
                f"{one.later_us:.0f}",
                f"{others:.0f}",
                f"{max(slice_.server_load for slice_ in slices):.0%}",
                f"{max(slice_.generator_load for slice_ in slices):.0%}",
                f"{max(slice_.other_load for slice_ in slices):.1f}",
                " ".join(sorted({slice_.saturated for slice_ in slices} - {""})) or "nobody",
                NOT_CLEAN if one.all_problems else "yes",
            )
        )
    return table(heading, rows)


def _answers(slice_: Slice) -> str:
    """The responses to INVITE that the caller saw; with their share where not on each call."""
    shares = {code: count / slice_.calls for code, count in slice_.answers.items() if count}
    return " ".join(
        code if share == 1 else f"{code} ({share:.0%})" for code, share in shares.items()
    )


def held_table(held: Mapping[str, Held]) -> str:
    """Memory per held call."""
    heading = ("server", "held calls", "bytes per call", "clean")
    rows = [
        (name, str(one.calls), f"{one.bytes_each:,.0f}", NOT_CLEAN if one.problems else "yes")
        for name, one in held.items()
    ]
    return table(heading, rows)


def figures_table(series: Mapping[str, Series], held: Mapping[str, Held], base: str) -> str:
    """What README.md has: the figures alone."""
    heading = ("server", "calls/s", "CPU per call, us", f"x {base}", "bytes per held call")
    rows = []
    for name, one in series.items():
        memory = held.get(name)
        rows.append(
            (
                name,
                f"{one.rate:g}",
                spread(one.cpu_us) if _counts(one) else NOT_CLEAN,
                spread(one.ratios, 2) if _counts(one) else "-",
                f"{memory.bytes_each:,.0f}" if memory and not memory.problems else "-",
            )
        )
    return table(heading, rows)


def _counts(one: Series) -> bool:
    return bool(one.slices) and not one.all_problems


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table that lines up as text as well."""
    lines = [list(heading), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)
