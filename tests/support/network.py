"""A network in memory: endpoints on made-up addresses, one virtual clock, faults on demand.

Nothing here waits or touches a socket. A run is decided by the seed alone: latency,
loss, duplication and reordering are drawn from it, or given packet by packet.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TypeVar

from sip.endpoint import Endpoint
from sip.events import Event, Responded
from sip.ids import IdSource
from sip.message import Request, Response, parse
from sip.records import Answer, Naptr, Query, Srv
from sip.timers import Timers
from sip.transport import Address, Faults, Listener, Outgoing
from sip.usage.invite import InviteSession
from tests.support.leftovers import endpoint_leftovers

AnyEvent = Event | Responded
E = TypeVar("E", bound=AnyEvent)

OFFER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
ANSWER = OFFER.replace(b"192.0.2.1", b"192.0.2.2")

_FOREVER = 100_000.0


def summary(data: bytes) -> str:
    """``INVITE``, ``200 INVITE``: what a ladder says of a message."""
    start, _, rest = data.partition(b"\r\n")
    words = start.decode("latin-1").split(" ")
    if words[0] != "SIP/2.0":
        return words[0]
    at = rest.find(b"CSeq:")
    cseq = rest[at + 5 : rest.find(b"\r\n", at)].decode("latin-1").split() if at >= 0 else []
    return f"{words[1]} {cseq[-1] if cseq else '?'}"


@dataclass(frozen=True, slots=True)
class Packet:
    """One message on its way; `lost` if it never arrives."""

    time: float
    source: str
    target: str
    data: bytes
    lost: bool = False

    @property
    def summary(self) -> str:
        return summary(self.data)

    @property
    def message(self) -> Request | Response:
        return parse(self.data)

    def __str__(self) -> str:
        mark = "x" if self.lost else ">"
        return f"{self.source} {mark} {self.target} {self.summary}"


class Stranger:
    """An address without a stack behind it: what arrives is kept, what is sent is free."""

    def __init__(self, network: "Network", name: str, address: Address) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.received: list[Request | Response] = []

    @property
    def uri(self) -> str:
        return f"sip:{self.name}@{self.address[0]}:{self.address[1]}"

    def send(self, to: "Party", data: bytes | str | Request | Response) -> None:
        """Put a message on the network."""
        if isinstance(data, str):
            data = data.encode()
        elif not isinstance(data, bytes):
            data = data.to_bytes()
        self.network.post(self.address, to.address, data)

    def requests(self, method: str) -> list[Request]:
        """The requests of one method that arrived."""
        return [m for m in self.received if isinstance(m, Request) and m.method == method]

    def responses(self, method: str) -> list[Response]:
        """The responses to one method that arrived."""
        return [m for m in self.received if isinstance(m, Response) and m.cseq[1] == method]

    def statuses(self, method: str) -> list[int]:
        """Their status codes."""
        return [response.status for response in self.responses(method)]


class Party:
    """An endpoint of the network; its events are kept, and given to `handler` if there is one.

    A `dead` one neither hears nor does anything. While `held` is a list, packets for it wait
    there, with their source.
    """

    def __init__(self, network: "Network", name: str, listener: Listener, timers: Timers) -> None:
        self.network = network
        self.name = name
        self.listener = listener
        self.address: Address = (listener.host, listener.port)
        ids = IdSource(Random(f"{network.seed} {name}").randbytes)
        self.endpoint = Endpoint([listener], ids, timers)
        self.listeners = self.endpoint.listeners
        self.dead = False
        self.faults: Faults | None = None
        self.held: list[tuple[bytes, Address]] | None = None
        self.events: list[AnyEvent] = []
        self.handler: Callable[[AnyEvent, float], None] | None = None
        self.taps: list[Callable[[str, bytes, Listener, Address, float], None]] = []

    @property
    def uri(self) -> str:
        return f"sip:{self.name}@{self.listener.sent_by('')}"

    @property
    def now(self) -> float:
        return self.network.now

    def listen(self, transport: str, host: str = "", port: int = 0) -> Listener:
        """One more listener, at the same address unless another is given."""
        host, port = host or self.listener.host, port or self.listener.port
        listener = Listener(transport, host, port, transport != "UDP")
        self.listeners.append(listener)
        self.network.place((host, port), self)
        return listener

    def listener_at(self, address: Address, transport: str) -> Listener:
        """The listener that a packet to `address` arrives at."""
        here = [one for one in self.listeners if (one.host, one.port) == address]
        return next((one for one in here if one.transport == transport), here[0])

    @property
    def seen(self) -> list[str]:
        """The names of the events that nobody has taken."""
        return [type(event).__name__ for event in self.events]

    def take(self, kind: type[E]) -> E:
        """The first event of a kind, taken from the list."""
        for index, event in enumerate(self.events):
            if isinstance(event, kind):
                del self.events[index]
                return event
        raise AssertionError(f"{self.name} has no {kind.__name__} among {self.seen}")

    def call(
        self,
        to: "Party | Stranger | str",
        body: bytes = OFFER,
        *,
        lines: str = "",
        next_hop: str = "",
    ) -> InviteSession:
        """Send an INVITE to a party, a stranger or a URI."""
        uri = to if isinstance(to, str) else to.uri
        from_ = f"<sip:{self.name}@example.com>"
        return self.endpoint.invite(
            self.now, uri, from_=from_, to=f"<{uri}>", body=body, lines=lines, next_hop=next_hop
        )

    def leftovers(self) -> dict[str, int]:
        """What is in the tables, where that is anything."""
        return endpoint_leftovers(self.endpoint)


class Network:
    """Parties and strangers by their addresses, and the packets between them.

    `loss`, `duplication` and `reordering` are rates from 0 to 1; `pattern` is a loss
    pattern, one entry per packet, that is over before `loss` applies. `names` has the
    address of each name, `records` what else the DNS says; `unreachable` holds addresses
    where sending fails at once, `refusing` those where it does by one transport.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        latency: float = 0.01,
        loss: float = 0.0,
        duplication: float = 0.0,
        reordering: float = 0.0,
        pattern: Sequence[bool] = (),
    ) -> None:
        self.now = 0.0
        self.seed = seed
        self.latency = latency
        self.loss = loss
        self.duplication = duplication
        self.reordering = reordering
        self.log: list[Packet] = []
        self.errors: list[Exception] = []
        self.names: dict[str, str] = {}
        self.records: dict[Query, Sequence[Naptr | Srv | str]] = {}
        self.asked: list[Query] = []
        self.unreachable: set[Address] = set()
        self.refusing: set[tuple[str, Address]] = set()
        self.expect_idle = False  # the fixture looks at the tables after the test
        self._pattern = list(pattern)
        self._doomed: list[str] = []
        self._random = Random(seed)
        self._places: dict[Address, Party | Stranger] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    # Who is there.

    def add(
        self,
        name: str,
        host: str = "",
        port: int = 5060,
        *,
        reliable: bool = False,
        timers: Timers | None = None,
    ) -> Party:
        """A new endpoint with one listener."""
        transport = "TCP" if reliable else "UDP"
        listener = Listener(transport, host or self._new_host(), port, reliable)
        party = Party(self, name, listener, timers or Timers())
        self._places[party.address] = party
        return party

    def add_stranger(self, name: str, host: str = "", port: int = 5060) -> Stranger:
        """A new address that a test speaks for by itself."""
        stranger = Stranger(self, name, (host or self._new_host(), port))
        self._places[stranger.address] = stranger
        return stranger

    def place(self, address: Address, party: Party) -> None:
        """What arrives at `address` is the party's."""
        self._places[address] = party

    def _new_host(self) -> str:
        return f"192.0.2.{len(self._places) + 1}"

    @property
    def parties(self) -> list[Party]:
        found = [place for place in self._places.values() if isinstance(place, Party)]
        return list(dict.fromkeys(found))

    # Packets.

    def lose(self, what: str, times: int = 1) -> None:
        """The next `times` packets with this summary get lost (``"200 INVITE"``)."""
        self._doomed += [what] * times

    def post(self, source: Address, target: Address, data: bytes, transport: str = "UDP") -> None:
        """Put octets on the way, with whatever happens to them there."""
        place = self._places.get(target)
        lost = self._is_lost(summary(data)) or place is None
        sender = self._places.get(source)
        names = [p.name if p else f"{a[0]}:{a[1]}" for p, a in ((sender, source), (place, target))]
        self.log.append(Packet(self.now, names[0], names[1], data, lost))
        if lost or place is None:
            return
        copies = 2 if self._random.random() < self.duplication else 1
        for _ in range(copies):
            delay = self.latency
            if self._random.random() < self.reordering:
                delay += self._random.random() * 10 * self.latency
            self.at(self.now + delay, lambda: self._deliver(place, source, target, data, transport))

    def _is_lost(self, what: str) -> bool:
        if self._pattern:
            return self._pattern.pop(0)
        if what in self._doomed:
            self._doomed.remove(what)
            return True
        return self._random.random() < self.loss

    def _deliver(
        self,
        place: Party | Stranger,
        source: Address,
        target: Address,
        data: bytes,
        transport: str,
    ) -> None:
        if isinstance(place, Stranger):
            place.received.append(parse(data))
            return
        if place.dead:
            return
        if place.held is not None:
            place.held.append((data, source))
            return
        with self._watching():
            listener = place.listener_at(target, transport)
            for tap in place.taps:
                tap("in", data, listener, source, self.now)
            if place.faults is not None:
                place.faults.arrived(data, source, listener, self.now)
                place.endpoint.door.taken = 0  # each message has a turn of the loop to itself
            else:
                place.endpoint.receive_datagram(data, source, listener, self.now)

    # Time.

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a time to come."""
        heapq.heappush(self._agenda, (time, next(self._order), action))

    def run(self, seconds: float = 1.0, until: Callable[[], bool] | None = None) -> None:
        """Let `seconds` pass, or fewer when `until` becomes true."""
        end = self.now + seconds
        self.pump()
        while until is None or not until():
            time = self._next_time()
            if time is None or time > end:
                self.now = max(self.now, end if seconds < _FOREVER else self.now)
                return
            self.now = max(self.now, time)
            self._do_agenda()
            for party in self._living():
                with self._watching():
                    party.endpoint.handle_timers(self.now)
            self.pump()

    def _do_agenda(self) -> None:
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()
            self.pump()

    def due(self, seconds: float) -> bool:
        """Whether somebody is about to do something within this time."""
        return bool(self._agenda) and self._agenda[0][0] <= self.now + seconds

    def run_until_idle(self) -> None:
        """Let time pass until no packet is under way and no timer runs."""
        self.run(_FOREVER)

    def settle(self) -> None:
        """64*T1 and what comes after it: by then all tables must be empty."""
        for party in self._living():
            for session in party.endpoint.sessions.values():
                if session.subscriptions:  # nobody has ended them: they end by themselves
                    self.run(301.0)
                    break
        longest = max(party.endpoint.timers.timeout for party in self._living())
        self.run(longest + 1.0)
        left = {party.name: party.leftovers() for party in self._living()}
        assert {name: tables for name, tables in left.items() if tables} == {}

    def _living(self) -> list[Party]:
        return [party for party in self.parties if not party.dead]

    def _next_time(self) -> float | None:
        times = [party.endpoint.next_time() for party in self._living()]
        known = [time for time in times if time is not None]
        if self._agenda:
            known.append(self._agenda[0][0])
        return min(known, default=None)

    def pump(self) -> None:
        """Hand out events, answer look-ups and send what the endpoints want sent."""
        for party in self.parties:
            endpoint = party.endpoint
            locator = endpoint.locator
            while endpoint.events or endpoint.outbox or locator.queries:
                self._hand_out(party)
                self._send(party)
                queries, locator.queries = locator.queries, []
                for query in queries:
                    self.asked.append(query)
                    self.at(self.now + self.latency, self._answer(party, query))

    def _hand_out(self, party: Party) -> None:
        events, party.endpoint.events = party.endpoint.events, []
        party.events += events
        for event in events:
            if party.handler is not None:
                with self._watching():
                    party.handler(event, self.now)

    def _send(self, party: Party) -> None:
        outbox, party.endpoint.outbox = party.endpoint.outbox, []
        self.transmit(
            party, outbox if party.faults is None else party.faults.leaving(outbox, self.now)
        )

    def transmit(self, party: Party, messages: list[Outgoing]) -> None:
        """Send what a party has, past its faults."""
        for listener, address, data in messages:
            for tap in party.taps:
                tap("out", data, listener, address, self.now)
            if address in self.unreachable or (listener.transport, address) in self.refusing:
                with self._watching():
                    party.endpoint.transport_failed(listener, address, self.now)
            else:
                here = (listener.host, listener.port)
                self.post(here, address, data, listener.transport)

    def _answer(self, party: Party, query: Query) -> Callable[[], None]:
        records = tuple(self.records.get(query, ()))
        if not records and query.kind == "A" and query.name in self.names:
            records = (self.names[query.name],)

        def answer() -> None:
            with self._watching():
                party.endpoint.locator.answered(query, Answer(records, 60.0), self.now)

        return answer

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """No test may swallow an exception of the stack: it is kept for the fixture."""
        try:
            yield
        except Exception as error:
            self.errors.append(error)
            raise

    # What happened.

    def ladder(self, since: int = 0) -> list[str]:
        """The messages in order of sending: ``alice > bob INVITE``, ``x`` where lost."""
        return [str(packet) for packet in self.log[since:]]

    def packets(self, what: str) -> list[Packet]:
        """The packets with this summary."""
        return [packet for packet in self.log if packet.summary == what]

    def times(self, what: str) -> list[float]:
        """When packets with this summary were sent, to the millisecond."""
        return [round(packet.time, 3) for packet in self.packets(what)]

    def requests(self, method: str) -> list[Request]:
        """The requests of a method that were sent."""
        messages = [packet.message for packet in self.packets(method)]
        return [message for message in messages if isinstance(message, Request)]

    def responses(self, what: str) -> list[Response]:
        """The responses with this summary that were sent."""
        messages = [packet.message for packet in self.packets(what)]
        return [message for message in messages if isinstance(message, Response)]

    def verify(self) -> None:
        """What a fixture asserts after each test."""
        assert self.errors == []
        if self.expect_idle:
            self.settle()
