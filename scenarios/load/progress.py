"""How a load run goes, while it goes: a live table by rich on a terminal, else plain lines."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TextIO

from scenarios.load.callers import Timeline
from scenarios.load.result import Second
from scenarios.load.run import Progress
from scenarios.load.timers import ANSWER

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress as Bar

_ROWS: Final = 12
_LINES: Final = 30  # of plain progress in a run, at most, or one a second
_COLUMNS: Final = (
    *("second", "planned", "offered", "completed", "failed", "open", "sent again"),
    *("answer p99", "SIPp", "server", "machine"),
)


def cells(second: Second, timeline: Timeline) -> Iterator[str]:
    """One second, as the columns have it."""
    answer = timeline.recent(ANSWER, int(second.at))
    yield f"{second.at + 1:.0f}"
    for value in (second.planned, second.offered, second.completed, second.failed):
        yield f"{value:,.0f}"
    yield f"{second.active:,}"
    yield f"{second.again + second.behind:,.0f}"
    yield f"{answer.percentile(99):g} ms" if answer else "-"
    for share in (second.generator, second.server, second.machine):
        yield "-" if share is None else f"{share:.0%}"


class PlainProgress:
    """A line each second; each few seconds in a long run."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._every = 1

    def _say(self, text: str) -> None:
        print(text, file=self._file, flush=True)

    def begin(self, title: str, seconds: float) -> None:
        """The heading."""
        self._every = max(1, round(seconds / _LINES))
        self._say(title)
        self._say(" ".join(f"{name:>10}" for name in _COLUMNS))

    def second(self, second: Second, timeline: Timeline) -> None:
        """One line, if it is time for one."""
        if int(second.at + 1) % self._every == 0:
            self._say(" ".join(f"{cell:>10}" for cell in cells(second, timeline)))

    def note(self, text: str) -> None:
        """A line of its own."""
        self._say(text)

    def end(self) -> None:
        """Nothing is left to do."""


class RichProgress:
    """A table of the last seconds and a bar. Raises ImportError without rich."""

    def __init__(self, file: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=file)
        self._rows: list[list[str]] = []
        self._live: Live | None = None
        self._bar: Bar | None = None
        self._title = ""

    def begin(self, title: str, seconds: float) -> None:
        """The table appears."""
        from rich.live import Live
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._title, self._rows = title, []
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(None), TimeRemainingColumn(), expand=True
        )
        self._bar.add_task("running", total=seconds)
        self._live = Live(self._view(), console=self._console, refresh_per_second=4)
        self._live.start()

    def _view(self) -> Any:
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(self._title), title_justify="left", expand=True)
        for name in _COLUMNS:
            table.add_column(name, justify="right")
        for row in self._rows[-_ROWS:]:
            table.add_row(*row)
        assert self._bar is not None, "it has begun"
        return Group(table, self._bar)

    def second(self, second: Second, timeline: Timeline) -> None:
        """Another row."""
        if self._live is None or self._bar is None:
            return
        self._rows.append(list(cells(second, timeline)))
        self._bar.update(self._bar.task_ids[0], completed=second.at + 1)
        if second.at + 1 >= timeline.profile.seconds:
            self._bar.update(self._bar.task_ids[0], description="waiting for the last calls")
        self._live.update(self._view())

    def note(self, text: str) -> None:
        """A line above the table."""
        self._console.print(text, markup=False, highlight=False)

    def end(self) -> None:
        """The table stays as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress(file: TextIO | None = None) -> Progress:
    """The one that fits where it goes (standard error)."""
    file = file or sys.stderr
    if file.isatty():
        try:
            return RichProgress(file)
        except ImportError:
            plain = PlainProgress(file)
            plain.note("a live table needs rich: pip install 'callsim[load]' (make .venv/.load)")
            return plain
    return PlainProgress(file)
