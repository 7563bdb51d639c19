"""The trace of calls: their SIP messages on all legs, for a while after their end too.

While calls run it only puts each message where its Call-ID stands. What belongs to which
call, what is a secret, where our end was: all that is found out when somebody asks.
"""

import re
from typing import TYPE_CHECKING, Final

from simulator.errors import TraceNotFound
from simulator.trace_views import TracedCallView as TracedCallView
from simulator.trace_views import TracedMessage as TracedMessage
from simulator.trace_views import TraceStateView as TraceStateView
from simulator.trace_views import TraceView as TraceView
from simulator.trace_views import text_of
from sip.transport import Address, Listener

if TYPE_CHECKING:
    from simulator.call import Call
    from simulator.config_sections import TraceSection
    from simulator.server import CallServer

_CALL_ID: Final = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t\r\n]*([^ \t\r\n]+)", re.IGNORECASE)
_BLANK: Final = re.compile(rb"\s*")
_INVITE: Final = re.compile(rb"\s*INVITE\s", re.IGNORECASE)

_BESIDE: Final = 250
"""Octets that a message takes beside its own."""

_YOUNG: Final = 1.0
"""Seconds that an INVITE may wait at the door: until then it is a call in progress."""

_LEG: Final = 600
"""Octets that a leg takes without its messages."""

_End = tuple[str, int]
_Raw = tuple[int, float, str, bytes, int, Address, Address | None]
"""Number, time of the loop's clock, direction, octets, number of the listener, peer, our end
where a connection says it. Of atoms alone, by UDP: the garbage collector need not look at it."""


class _Kept:
    """What is kept of one Call-ID; `owner` is the GUID of the ended call that it belongs to."""

    __slots__ = ("messages", "notes", "omitted", "owner")

    def __init__(self) -> None:
        self.messages: list[_Raw] = []
        self.notes: list[tuple[int, float, str]] = []
        self.omitted = 0
        self.owner = ""


class Trace:
    """The messages of the calls of `server`, in bounds: so many legs, messages of one leg, and
    octets in all. Who has no room goes: ended and refused calls first, the oldest first."""

    def __init__(self, server: "CallServer", section: "TraceSection") -> None:
        self._server = server
        self._section = section
        self._most_legs = section.legs
        self._most_messages = section.messages
        self._most_octets = section.memory << 20
        self._room_legs = self._most_legs
        self.enabled = False
        self._kept: dict[bytes, _Kept] = {}  # by Call-ID, the oldest first
        self._ended: dict[str, list[tuple[bytes, str]]] = {}  # legs of ended calls by GUID
        self._numbers: dict[Listener, int] = {}
        self._listeners: list[Listener] = []
        self._seen = 0  # octets of all so far, which number the messages
        self._freed = 0  # of them that are not kept any more
        self._full = self._most_octets  # what may be seen before room has to be made
        self.restore()

    def restore(self) -> None:
        """On or off, as configured."""
        self.switch(on=self._section.enabled)

    def switch(self, *, on: bool) -> None:
        """Turn it on, from now on for calls in progress too, or off: nothing is kept then."""
        if on == self.enabled:
            return
        self.enabled = on
        if on:
            for name in self._live():
                self._begin(name)
            self._server.stack.add_tap(self._take)
        else:
            self._server.stack.remove_tap(self._take)
            self._kept.clear()
            self._ended.clear()
            self._freed = self._seen
            self._full = self._freed + self._most_octets

    # What every message passes.

    def _take(
        self, direction: str, data: bytes, listener: Listener, address: Address, now: float
    ) -> None:
        head, _, rest = data.partition(b"\nCall-ID: ")
        kept = self._kept.get(rest.partition(b"\r")[0])
        # In the body it says nothing; what we send has it above.
        if kept is None or (direction == "in" and b"\r\n\r\n" in head):
            passes = direction == "in" or data[:4] == b"SIP/"
            if kept is None and rest and passes and self._server.admission.overload:
                return  # most are of refused calls: an INVITE that is not comes again in `begun`
            kept = self._leg_of(data, now)
            if kept is None:
                return
        local: Address | None = None
        if listener.reliable:
            local, address = listener.path(address)
        try:
            number = self._numbers[listener]
        except KeyError:
            number = self._numbers[listener] = len(self._listeners)
            self._listeners.append(listener)
        seen = self._seen + len(data) + _BESIDE
        self._seen = seen
        messages = kept.messages
        messages.append((seen, now, direction, data, number, address, local))
        if len(messages) > self._most_messages:  # how it began and what was last say most
            self._freed += len(messages.pop(self._most_messages // 2)[3]) + _BESIDE
            kept.omitted += 1
        if seen > self._full:
            self._make_room(now)

    def _leg_of(self, data: bytes, now: float) -> _Kept | None:
        """The leg of a message that is new, or writes its Call-ID in its own way; None for what
        is not of a call: OPTIONS and the like."""
        begin = _BLANK.match(data)
        end = data.find(b"\r\n\r\n", begin.end() if begin is not None else 0)
        found = _CALL_ID.search(data, 0, end if end >= 0 else len(data))
        if found is None:
            return None
        kept = self._kept.get(found[1])
        if kept is None and _INVITE.match(data) is not None:
            kept = self._new(found[1], now)
        return kept

    def mark(self, call_id: str, text: str, now: float) -> None:
        """Note something between the messages of a leg of a call, of which there may be none yet;
        what is not of a call has no notes."""
        if not self.enabled:
            return
        name = _name(call_id)
        kept = self._kept.get(name)
        if kept is None:
            if not self._is_live(call_id):
                return
            kept = self._new(name, now)
        if len(kept.notes) >= self._most_messages:
            self._freed += len(kept.notes.pop(0)[2]) + _BESIDE
        self._seen += len(text) + _BESIDE
        kept.notes.append((self._seen, now, text))
        if self._seen > self._full:
            self._make_room(now)

    def _new(self, name: bytes, now: float) -> _Kept:
        if len(self._kept) >= self._room_legs:
            self._make_room(now)
        return self._begin(name)

    def _begin(self, name: bytes) -> _Kept:
        kept = self._kept[name] = _Kept()
        self._seen += _LEG
        return kept

    def begun(self, call: "Call", now: float) -> None:
        """A call is let in: while others are refused its INVITE is kept from here on only."""
        if not (self.enabled and self._server.admission.overload):
            return
        invite = call.legs[0].session.server_invite
        if invite is not None and _name(invite.request.call_id) not in self._kept:
            self._begin(_name(invite.request.call_id))
            self._take("in", invite.request.to_bytes(), invite.listener, invite.address, now)

    def ended(self, call: "Call") -> None:
        """A call is over: its legs are known by its GUID from now on."""
        if not self.enabled:
            return
        legs = [(name, kind) for name, kind in _legs(call) if name in self._kept]
        for name, _ in legs:
            kept = self._kept[name]
            if kept.owner not in ("", call.guid):
                self._take_from(kept.owner, name)
            kept.owner = call.guid
        if legs:
            self._ended.pop(call.guid, None)  # of a call whose GUID was used again
            self._ended[call.guid] = legs

    def _take_from(self, owner: str, name: bytes) -> None:
        """A leg is of an ended call no more: its Call-ID was used again."""
        legs = [leg for leg in self._ended.pop(owner, []) if leg[0] != name]
        if legs:
            self._ended[owner] = legs

    # Room.

    def _live(self) -> set[bytes]:
        """The Call-IDs of calls in progress."""
        return {name for call in self._server.calls.values() for name, _ in _legs(call)}

    def _is_live(self, call_id: str) -> bool:
        """Whether a call in progress has a leg of this Call-ID."""
        for call in self._server.calls.values():
            for leg in call.legs:
                if leg.session.dialog.call_id == call_id:
                    return True
        return False

    def _make_room(self, now: float) -> None:
        """Free an eighth at a time, as finding out who may go takes its time.

        Legs of calls in progress stay, if only by name: where they are too many by themselves,
        it is tried again once there is an eighth more.
        """
        self._free(self._most_legs // 8 * 7, self._most_octets // 8 * 7, now - _YOUNG)
        self._room_legs = max(self._most_legs, len(self._kept) // 8 * 9)
        self._full = self._freed + max(self._most_octets, self._octets // 8 * 9)

    @property
    def _octets(self) -> int:
        return self._seen - self._freed

    def _free(self, legs: int, octets: int, young: float) -> None:
        """Go down to so many; who began after `young` may not have got its call yet."""
        live = self._live()
        for name, kept in list(self._kept.items()):
            if self._octets <= octets and len(self._kept) <= legs:
                return
            began = kept.messages[0][1] if kept.messages else 0.0
            if name in self._kept and name not in live and began <= young:
                self._forget(name, live)
        others = [kept for name, kept in self._kept.items() if name not in live]
        for kept in others + [kept for name, kept in self._kept.items() if name in live]:
            if self._octets <= octets:
                return
            kept.omitted += len(kept.messages)
            self._freed += _size(kept) - _LEG
            kept.messages.clear()
            kept.notes.clear()

    def _forget(self, name: bytes, live: set[bytes]) -> None:
        """Let go of a leg, and of the others of its call, which would tell half of it."""
        owner = self._kept[name].owner
        legs = self._ended.get(owner, [])
        if all(name != one for one, _ in legs):
            legs = [(name, "")]  # of a call whose GUID was used again, or that never was one
        else:
            del self._ended[owner]
        for one, _ in legs:
            kept = self._kept.get(one)
            if kept is not None and kept.owner == owner and one not in live:
                self._freed += _size(kept)
                del self._kept[one]

    # What readers ask.

    def state(self) -> TraceStateView:
        """Whether it is on, and how much there is."""
        messages = sum([len(kept.messages) for kept in self._kept.values()])
        return TraceStateView(self.enabled, len(self._kept), messages, self._octets)

    def messages(self, name: str) -> list[TracedMessage]:
        """The messages of a call, by its GUID or a Call-ID, as in `of`."""
        return self.of(name).messages

    def of(self, name: str, after: int = 0) -> TraceView:
        """What is kept of a call, by its GUID or the Call-ID of one of its legs; its messages
        whose number is higher than `after`.

        Raises TraceNotFound.
        """
        if not self.enabled:
            raise TraceNotFound("the trace is off: PUT /sim/v1/trace turns it on, for new messages")
        guid = name.upper()
        call = self._server.calls.get(guid)
        legs = self._ended.get(guid) if call is None else _legs(call)
        if legs is None:
            call_id = _name(name)
            guid, call = self._call_of(call_id)
            if call is not None:
                legs = _legs(call)
            elif guid:
                legs = self._ended[guid]
            elif call_id in self._kept:
                legs = [(call_id, "")]
            else:
                raise TraceNotFound(
                    f"nothing is kept of a call with the GUID or Call-ID {name!r}: there was none "
                    "since the trace is on, or newer ones took its place (trace.memory)"
                )
        omitted = 0
        messages: list[TracedMessage] = []
        for one, kind in dict(legs).items():
            kept = self._kept.get(one)
            if kept is not None:
                omitted += kept.omitted
                messages += self._unmasked(one, kind, kept, after)
        messages.sort(key=_number)
        return TraceView(guid, call is None, omitted, messages)

    def calls(self, limit: int) -> list[TracedCallView]:
        """The calls of which something is kept, those that began last first."""
        owners = {
            name: call.guid for call in self._server.calls.values() for name, _ in _legs(call)
        }
        found: list[TracedCallView] = []
        seen: set[str] = set()
        for name in reversed(list(self._kept)):
            kept = self._kept[name]
            guid = owners.get(name) or kept.owner
            if guid in seen or not kept.messages:
                continue
            if len(found) == limit:
                break
            if guid:
                seen.add(guid)
            found.append(self._call_view(name, guid))
        return found

    def _call_view(self, name: bytes, guid: str) -> TracedCallView:
        call = self._server.calls.get(guid)
        legs = self._ended.get(guid, [(name, "")]) if call is None else _legs(call)
        count = 0
        first: list[_Raw] = []
        for one, _ in legs:
            kept = self._kept.get(one)
            if kept is None or not kept.messages:
                continue
            count += len(kept.messages)
            if not first or kept.messages[0][0] < first[0][0]:
                name, first = one, kept.messages
        began = self._server.wall(first[0][1])
        return TracedCallView(guid, name, began, [raw[3] for raw in first], len(legs), count)

    def _call_of(self, call_id: bytes) -> "tuple[str, Call | None]":
        """The call that has a leg of this Call-ID: its GUID, and itself while it is active."""
        for call in self._server.calls.values():
            if any(name == call_id for name, _ in _legs(call)):
                return call.guid, call
        for guid, legs in self._ended.items():
            if any(name == call_id for name, _ in legs):
                return guid, None
        return "", None

    def _unmasked(self, name: bytes, kind: str, kept: _Kept, after: int) -> list[TracedMessage]:
        call_id = text_of(name)
        wall = self._server.wall
        found: list[TracedMessage] = []
        opened: dict[tuple[int, _End], _End] = {}  # what later messages say of their connection
        for number, at, direction, data, listener, far, near in reversed(kept.messages):
            if number <= after:
                break
            way = self._listeners[listener]
            peer = (far[0], far[1])
            if near is not None:
                local = opened[listener, peer] = (near[0], near[1])
            else:
                known = opened.get((listener, peer))
                local = known or _local(way, far)
            found.append(
                TracedMessage(
                    wall(at),
                    direction,
                    way.transport,
                    local,
                    peer,
                    data,
                    call_id,
                    kind,
                    "",
                    number,
                )
            )
        nowhere = ("", 0)
        for number, at, text in kept.notes:
            if number <= after:
                continue
            found.append(
                TracedMessage(wall(at), "", "", nowhere, nowhere, b"", call_id, kind, text, number)
            )
        return found


def _local(way: Listener, peer: Address) -> _End:
    """Our end of what goes by a listener, where no connection says it."""
    ours = way.path(peer)[0]
    return (ours[0], ours[1]) if ours is not None else (way.local_host(peer[0]), way.port)


def _legs(call: "Call") -> list[tuple[bytes, str]]:
    """Call-ID and kind of each leg."""
    return [(_name(leg.session.dialog.call_id), leg.kind) for leg in call.legs]


def _name(call_id: str) -> bytes:
    return call_id.encode("utf-8", "surrogateescape")


def _number(message: TracedMessage) -> int:
    return message.number


def _size(kept: _Kept) -> int:
    notes = sum([len(text) + _BESIDE for _, _, text in kept.notes])
    return _LEG + notes + sum([len(raw[3]) + _BESIDE for raw in kept.messages])
