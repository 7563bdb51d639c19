"""Who reads the log of the trace, in a thread of its own: which messages are of which call."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from simulator.errors import TraceNotFound
from simulator.trace_log import ENDED, IN, NOTE, Piece, Record
from simulator.trace_views import TracedCallView, TracedMessage, TraceView, text_of
from sip.errors import ParseError
from sip.message import parse
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from simulator.call import Call

_INVITE: Final = re.compile(rb"\s*INVITE\s", re.IGNORECASE)

_End = tuple[str, int]


class TraceReader:
    """The `pieces` of the log, the oldest first, each with how many octets of it; `live` are the
    calls in progress, `omitted` what is lost of them by Call-ID, `wall` gives the time of day
    for a time of the loop's clock."""

    def __init__(
        self,
        pieces: Sequence[tuple[Piece, int]],
        live: Sequence["Call"],
        omitted: Mapping[bytes, int],
        wall: Callable[[float], float],
    ) -> None:
        self._pieces = pieces
        self._live = live
        self._omitted = omitted
        self._wall = wall

    def of_call(self, call: "Call", after: int) -> TraceView:
        """What is kept of a call in progress."""
        legs = legs_of(call)
        omitted = sum([self._omitted.get(name, 0) for name in legs])
        return TraceView(call.guid, False, omitted, self._messages(legs, after))

    def of(self, name: str, after: int) -> TraceView:
        """What is kept of a call that has ended, by its GUID, or of any, by the Call-ID of one of
        its legs. Raises TraceNotFound."""
        call_id = name_of(name)
        ended = self._ended(name_of(name.upper()), by_guid=True)
        if ended is None:
            for call in self._live:
                if call_id in legs_of(call):
                    return self.of_call(call, after)
            ended = self._ended(call_id, by_guid=False)
        if ended is not None:
            return TraceView(ended.guid, True, ended.omitted, self._messages(ended.legs, after))
        messages = self._messages({call_id: ""}, 0)
        if not messages:
            raise TraceNotFound(
                f"nothing is kept of a call with the GUID or Call-ID {name!r}: there was none "
                "since the trace is on, or newer ones took its place (trace.memory)"
            )
        return TraceView("", True, 0, [one for one in messages if one.number > after])

    def _ended(self, name: bytes, *, by_guid: bool) -> "_Ended | None":
        """The last call that ended with this GUID, or with a leg of this Call-ID."""
        for piece, until in reversed(self._pieces):
            for record in reversed(list(piece.having(name, until))):
                if record.kind == ENDED:
                    ended = _Ended(record.data)
                    if name == name_of(ended.guid) if by_guid else name in ended.legs:
                        return ended
        return None

    def _messages(self, legs: Mapping[bytes, str], after: int) -> list[TracedMessage]:
        found: list[tuple[Record, bytes]] = []
        later = 0  # the number after which the next piece begins
        for piece, until in reversed(self._pieces):
            if later and later <= after:
                break
            later = piece.number
            for name in legs:
                for record in piece.having(name, until):
                    if record.number > after and record.kind != ENDED and record.call_id == name:
                        found.append((record, name))
        found.sort(key=lambda one: one[0].number)
        messages = []
        opened: dict[tuple[Listener, _End], _End] = {}  # what later ones say of their connection
        for record, name in reversed(found):
            messages.append(self._shown(record, name, legs[name], opened))
        return messages[::-1]

    def _shown(
        self, record: Record, name: bytes, kind: str, opened: dict[tuple[Listener, _End], _End]
    ) -> TracedMessage:
        time, call_id = self._wall(record.time), text_of(name)
        if record.end is None:
            note = text_of(record.data.partition(b"\n")[2])
            nowhere = ("", 0)
            return TracedMessage(
                time, "", "", nowhere, nowhere, b"", call_id, kind, note, record.number
            )
        listener, near, far = record.end
        peer = (far[0], far[1])
        if near is not None:
            local = opened[listener, peer] = (near[0], near[1])
        else:
            local = opened.get((listener, peer)) or _local(listener, far)
        return TracedMessage(
            time,
            "in" if record.kind == IN else "out",
            listener.transport,
            local,
            peer,
            record.data,
            call_id,
            kind,
            "",
            record.number,
        )

    def calls(self, limit: int) -> list[TracedCallView]:
        """The calls of which something is kept, those that began last first.

        It goes back no further than it has to: what is of a leg stands behind its INVITE, unless
        that was saved.
        """
        owners: dict[bytes, _Owner] = {}
        for call in self._live:
            owner = _Owner(call.guid, legs_of(call))
            owners |= dict.fromkeys(owner.legs, owner)
        kept: dict[bytes, list[Record]] = {}
        begun: set[bytes] = set()
        for piece, until in reversed(self._pieces):
            ended: dict[bytes, _Owner] = {}
            for record in piece.records(until):
                if record.kind == ENDED:
                    owner = _Ended(record.data)
                    ended |= dict.fromkeys(owner.legs, owner)
                elif record.kind != NOTE and (name := record.call_id):
                    kept.setdefault(name, []).append(record)
                    if not record.saved and _begins(record.data):
                        begun.add(name)
            owners = ended | owners
            calls = _calls(kept, owners)
            if sum([_first(call) in begun for call in calls]) >= limit:
                calls = [call for call in calls if _first(call) in begun]
                break
        else:
            calls = _calls(kept, owners)
        views = [self._view(call, kept) for call in calls]
        views.sort(key=_time, reverse=True)
        return views[:limit]

    def _view(self, call: "_Owner", kept: Mapping[bytes, list[Record]]) -> TracedCallView:
        legs = {name: sorted(kept[name], key=_number) for name in call.legs if name in kept}
        first = min(legs, key=lambda name: legs[name][0].number)
        time = self._wall(legs[first][0].time)
        octets = [record.data for record in legs[first]]
        count = sum([len(records) for records in legs.values()])
        return TracedCallView(call.guid, first, time, octets, len(call.legs), count)


class _Owner:
    """A call: its GUID, empty for one that was refused, and the kinds of its legs by Call-ID."""

    def __init__(self, guid: str, legs: dict[bytes, str]) -> None:
        self.guid = guid
        self.legs = legs


class _Ended(_Owner):
    """A call that has ended, as its record says: `omitted` messages were lost before."""

    def __init__(self, data: bytes) -> None:
        guid, omitted, *legs = data.split(b"\n")
        kinds = [kind.decode() for kind in legs[1::2]]
        super().__init__(guid.decode(), dict(zip(legs[::2], kinds, strict=True)))
        self.omitted = int(omitted)


def _calls(kept: Mapping[bytes, list[Record]], owners: Mapping[bytes, _Owner]) -> list[_Owner]:
    """Whose messages they are. What never was a call has begun as one all the same."""
    found: dict[int, _Owner] = {}
    for name, records in kept.items():
        owner = owners.get(name)
        if owner is None and any(_begins(record.data) for record in records):
            owner = _Owner("", {name: ""})
        if owner is not None:
            found[id(owner)] = owner
    return list(found.values())


def _first(call: _Owner) -> bytes:
    """The Call-ID of a call's first leg."""
    return next(iter(call.legs))


def _begins(data: bytes) -> bool:
    """Whether it is an INVITE outside of a dialog."""
    if _INVITE.match(data) is None:
        return False
    try:
        return not parse(data.lstrip()).to_tag
    except ParseError:
        return True


def legs_of(call: "Call") -> dict[bytes, str]:
    """The kind of each leg by its Call-ID."""
    return {name_of(leg.session.dialog.call_id): leg.kind for leg in call.legs}


def name_of(call_id: str) -> bytes:
    """A Call-ID as it is on the wire."""
    return call_id.encode("utf-8", "surrogateescape")


def _local(listener: Listener, peer: Address) -> _End:
    """Our end of what goes by a listener, where no connection says it."""
    ours = listener.path(peer)[0]
    return (ours[0], ours[1]) if ours is not None else (listener.local_host(peer[0]), listener.port)


def _number(record: Record) -> int:
    return record.number


def _time(view: TracedCallView) -> float:
    return view.time
