"""Whole calls, each declared once: who calls, what the neighbours do, what REST does.

A flow is a function that plays on a `Stage`. In memory that is a network with a clock of its
own, on the wire a `callsim serve` process and phones on loopback; both must give the ladder
that is kept in ``scenarios/ladders/NAME.ladder``, name for name and line for line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final, Protocol

LADDERS: Final = Path(__file__).parents[1] / "ladders"


class Line(Protocol):
    """One call of a phone, seen from the phone."""

    @property
    def requests(self) -> Sequence[Any]:
        """The requests that came."""

    @property
    def statuses(self) -> Sequence[int]:
        """The responses to its requests that came."""

    def answer(self) -> None:
        """Pick up."""

    def cancel(self) -> None:
        """Give up before the answer."""

    def hang_up(self) -> None:
        """BYE."""

    def offer(self, direction: Any = "sendrecv") -> None:
        """re-INVITE; ``sendonly`` holds the other end."""

    def accept_refer(self) -> None:
        """202 to the REFER that came, and NOTIFY with 100."""

    def refuse_refer(self, status: int) -> None:
        """Refuse it."""

    def notify(self, status: int) -> None:
        """Tell what became of it."""

    def request(self, method: str, body: bytes = b"", kind: str = "", lines: str = "") -> None:
        """Another request in the dialog: INFO, UPDATE."""


class Stage(Protocol):
    """Where a flow is played: a caller, agents and a VXML gateway around a call server.

    Agents ring at once and answer a moment later unless `agent` says otherwise; so does
    the VXML gateway, without ringing.
    """

    def agent(self, number: str, **manner: Any) -> None:
        """How the phone with this number takes calls: `ring`, `answer`, `refuse`, `think`."""

    def gateway(self, **manner: Any) -> None:
        """How the VXML gateway takes calls."""

    def dial(self, number: str, *, calling: str = "", lines: str = "") -> Line:
        """The caller calls."""

    def dial_from(self, agent: str, number: str, lines: str = "") -> Line:
        """An agent's phone calls the call server."""

    def line(self, number: str) -> Line:
        """The last call for this number at any of the phones; waits for one."""

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Let time pass until something has happened, and then until the wire is at rest."""

    def reach(self, event: str, times: int = 1) -> None:
        """`until` the first call's history has this event (so many times)."""

    def settle(self) -> None:
        """Let time pass until the wire is at rest."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""

    def rest(self, text: str) -> None:
        """Let the wire come to rest, and write a note into the ladder."""

    def refer(self, line: Any, number: str, other: Any = None) -> None:
        """A phone transfers: blind, or to its `other` call (attended)."""

    def transfer(
        self, destination: str = "", kind: Any = "blind", label: str | None = None
    ) -> None:
        """POST /call/{callGuid}/transfer."""

    def terminate(self, reason: Any = "requested") -> None:
        """POST /call/{callGuid}/terminate."""

    def extension(self, operation: str) -> None:
        """POST /sim/v1/calls/{callGuid}/OPERATION: hold, resume, transfer/complete..."""


Play = Callable[[Stage], None]


@dataclass(frozen=True)
class Flow:
    """One flow; `sections` are laid over the plan that all flows share."""

    name: str
    text: str
    play: Play
    sections: Mapping[str, Any] = field(default_factory=dict)

    @property
    def golden(self) -> Path:
        """The file with its ladder."""
        return LADDERS / f"{self.name}.ladder"

    def page(self, ladder: str, record: str) -> str:
        """What stands in that file."""
        title = self.name.replace("-", " ")
        return f"{title}\n{'=' * len(title)}\n\n{self.text}\n\n{ladder}\n{record}\n"


FLOWS: Final[dict[str, Flow]] = {}


def flow(**sections: Any) -> Callable[[Play], Play]:
    """Declare a flow: the function's name is its name, the docstring its text."""

    def declare(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        FLOWS[name] = Flow(name, cleandoc(play.__doc__ or ""), play, sections)
        return play

    return declare


def load() -> dict[str, Flow]:
    """All flows by name."""
    for name in ("basic", "queue", "services", "transfers"):
        import_module(f"scenarios.flows.{name}")  # it declares its own
    return FLOWS
