"""The ladder of a whole call, the same however it was watched: in memory or on the wire.

It says who sent what to whom; not when, from which address, or how often. A column is a
party: the caller, the call server, and each far end that the call server calls.

Two parties may send at the same moment, so the order of a capture is partly chance. What is
not chance is what a message makes the call server do. Most messages stand in one chain of
cause and effect (the target's 200, the re-INVITE to the caller, its 200, both ACKs), and keep
the order in which they were sent. The others answer something and move nothing on any other
leg: 100, the answers to BYE, CANCEL, NOTIFY and REFER, the 487 after a CANCEL, the ACK of a
refusal. However late they came, they stand right behind what they belong to in their own
dialog. Where the call server sends to two legs at once its own order stands: that is decided
by one event. A flow lets the wire come to rest before somebody acts of their own accord, and
has one phone think a moment where two would answer at once, so nothing is left to chance.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sip.dialog import name_addr_uri
from sip.message import Request, Response, parse

CALLER: Final = "caller"
SERVER: Final = "call server"
_SERVICES: Final = (
    ("9191919100", "whisper"),
    ("9191919101", "greeting"),
    ("9191", "ringtone"),
    ("9292", "error message"),
)
_SELF_CONTAINED: Final = frozenset(("BYE", "CANCEL", "NOTIFY", "REFER"))
_LEAST: Final = 20
"""Characters from one column to the next, at least."""

_SIGNAL: Final = re.compile(rb"Signal ?= ?([0-9A-D*#]+)", re.IGNORECASE)
_RUN_SCRIPT: Final = re.compile(rb'"type":"(RUN_SCRIPT_\w+)"')


@dataclass(frozen=True, slots=True)
class Seen:
    """One message between the call server and `peer`, a phone by its name."""

    peer: str
    inbound: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class _Step:
    """A message in its place: `transaction` is what it belongs to, "" in a note."""

    text: str
    party: str = ""
    inbound: bool = False
    transaction: tuple[str, int, bool] = ("", 0, False)


class _Ladder:
    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self._parties: dict[str, str] = {}  # by Call-ID
        self._callers = 0
        self._cancelled: set[tuple[str, int, bool]] = set()
        self._refused: set[tuple[str, int, bool]] = set()
        self._seen: set[Seen] = set()

    def add(self, seen: Seen) -> None:
        """Put one message where it belongs; a retransmission is left out."""
        if seen in self._seen:
            return
        self._seen.add(seen)
        message = parse(seen.data)
        call_id = message.call_id
        if call_id not in self._parties:
            if not (isinstance(message, Request) and message.method == "INVITE"):
                return  # not of a call: OPTIONS and the like
            self._parties[call_id] = self._name(seen, message)
        number, method = message.cseq
        ours = seen.inbound != isinstance(message, Request)
        transaction = (call_id, number, ours)
        step = _Step(label(message), self._parties[call_id], seen.inbound, transaction)
        if self._stands_alone(message, method, transaction):
            at = max(i for i, s in enumerate(self.steps) if s.transaction == transaction)
            self.steps.insert(at + 1, step)
        else:
            self.steps.append(step)

    def _stands_alone(
        self, message: Request | Response, method: str, transaction: tuple[str, int, bool]
    ) -> bool:
        """Whether it concerns nobody but its own dialog."""
        if isinstance(message, Request):
            if method == "CANCEL":
                self._cancelled.add(transaction)
            return method == "ACK" and transaction in self._refused
        status = message.status
        if method == "INVITE" and status >= 300:
            self._refused.add(transaction)
        if method in _SELF_CONTAINED or status == 100:
            return True
        return status == 487 and transaction in self._cancelled

    def _name(self, seen: Seen, invite: Request) -> str:
        """The party at the other end of a new dialog."""
        if seen.inbound and seen.peer == CALLER:
            self._callers += 1
            return CALLER if self._callers == 1 else f"{CALLER} {self._callers}"
        user = _user(invite.get("from") or "" if seen.inbound else invite.uri)
        if seen.peer == "vxml":
            return next((name for digits, name in _SERVICES if user[: len(digits)] == digits),
                        "VXML gateway")  # fmt: skip
        return seen.peer if seen.peer == CALLER else f"{seen.peer.removesuffix('s')} {user}"


def label(message: Request | Response) -> str:
    """What a message is, in a few words: ``200 INVITE (SDP)``, ``BYE (cause 16)``."""
    details = []
    if isinstance(message, Request):
        text = message.method
        if text == "INVITE" and message.to_tag is not None:
            text = "re-INVITE"
        if text == "REFER":
            target = message.get("refer-to") or ""
            text += f" {_user(target)}"
            details += ["Replaces"] * ("Replaces=" in target)
        if message.get("replaces") is not None:
            details.append("Replaces")
        if text in ("BYE", "CANCEL"):
            found = re.search(r"cause=(\d+)", message.get("reason") or "")
            details += [f"cause {found[1]}"] if found else []
    else:
        text = f"{message.status} {message.cseq[1]}"
        if 300 <= message.status < 400:
            text += f" to {_user(message.get('contact') or '')}"
    kind = message.content_type
    if kind == "application/sdp" or (kind.startswith("multipart/") and b"m=audio" in message.body):
        details.append("SDP")
    elif kind == "message/sipfrag":
        line = message.body.decode("utf-8", "replace").partition("\r\n")[0]
        details.append(line.removeprefix("SIP/2.0 "))
    elif said := _SIGNAL.search(message.body) or _RUN_SCRIPT.search(message.body):
        details.append(said[1].decode())
    return f"{text} ({', '.join(details)})" if details else text


def _user(uri: str) -> str:
    """The user part of a URI, or of the one in a name-addr."""
    uri = name_addr_uri(uri) if "<" in uri else uri
    return uri.partition(":")[2].partition("@")[0].partition(";")[0]


def draw(entries: Iterable[Seen | str]) -> str:
    """The ladder of messages and notes, each note a line of its own where it stands."""
    ladder = _Ladder()
    for entry in entries:
        if isinstance(entry, str):
            ladder.steps.append(_Step(entry))
        else:
            ladder.add(entry)
    steps = ladder.steps
    parties = dict.fromkeys(step.party for step in steps if step.party)
    columns = [CALLER, SERVER, *(party for party in parties if party != CALLER)]
    longest = max((len(step.text) for step in steps if step.party), default=0)
    width = max(_LEAST, longest + 7)
    names = "".join(name.center(width) for name in columns).rstrip()
    return "\n".join([names, *(_line(step, columns, width) for step in steps)]) + "\n"


def _line(step: _Step, columns: list[str], width: int) -> str:
    if not step.party:
        return f"  * {step.text}"
    bar = "|".center(width).index("|")
    here, there = columns.index(SERVER), columns.index(step.party)
    first, last = sorted((here, there))
    rightward = step.inbound == (there < here)
    line = list("".join("|".center(width) for _ in columns))
    start, end = bar + first * width + 1, bar + last * width
    shaft = f" {step.text} ".center(end - start - 2, "-")
    line[start:end] = f"-{shaft}>" if rightward else f"<{shaft}-"
    return "".join(line).rstrip()
