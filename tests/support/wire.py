"""The phones of the tests on real sockets: the same endpoints, the kernel's loopback and clock."""

import select
import socket
import time
from collections.abc import Callable
from secrets import randbits

from sip.timers import Timers
from sip.transport import Address, Listener
from tests.support.network import Network, Packet, Party

_BIGGEST = 65_535
_PATIENCE = 20.0


class WireNetwork(Network):
    """A `Network` whose packets go through UDP sockets on 127.0.0.1.

    Parties are driven by `run`, which lets real time pass. What they send and hear is in
    `log`; an address that is none of theirs is called by its port.
    """

    def __init__(self) -> None:
        super().__init__(randbits(64))
        self.now = time.monotonic()
        self._questions = 0
        self._asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._asker.bind(("127.0.0.1", 0))
        self._sockets: dict[socket.socket, Party] = {}
        self._by_address: dict[Address, socket.socket] = {}

    def add(
        self,
        name: str,
        host: str = "",
        port: int = 0,
        *,
        reliable: bool = False,
        timers: Timers | None = None,
    ) -> Party:
        """A new endpoint on a UDP port that is free."""
        assert not reliable
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((host or "127.0.0.1", port))
        opened.setblocking(False)
        address: Address = opened.getsockname()
        party = Party(
            self, name, Listener("UDP", address[0], address[1], False), timers or Timers()
        )
        self.place(address, party)
        self._sockets[opened] = party
        self._by_address[address] = opened
        return party

    def close(self) -> None:
        """Give the ports back."""
        for opened in (*self._sockets, self._asker):
            opened.close()

    def post(self, source: Address, target: Address, data: bytes, transport: str = "UDP") -> None:
        """Send a datagram."""
        self.log.append(Packet(self.now, self.name_of(source), self.name_of(target), data))
        self._by_address[source].sendto(data, target)

    def name_of(self, address: Address) -> str:
        """The party at an address, or its port."""
        place = self._places.get(address)
        return place.name if place is not None else str(address[1])

    def run(self, seconds: float = 1.0, until: Callable[[], bool] | None = None) -> None:
        """Let `seconds` of real time pass, or fewer when `until` becomes true."""
        end = time.monotonic() + seconds
        while True:
            self.now = time.monotonic()
            self._do_what_is_due()
            if self.now >= end or (until is not None and until()):
                return
            due = self._next_time()
            wake = min(end, due) if due is not None else end
            readable, _, _ = select.select(
                list(self._sockets), [], [], max(0.0, wake - time.monotonic())
            )
            self.now = time.monotonic()
            for opened in readable:
                self._receive(opened)

    def catch_up(self, server: Address) -> None:
        """Let time pass until `server` has read what was sent to it, and we what it sent then.

        It has once it answers an OPTIONS: a socket gives datagrams in the order of sending.
        """
        self._questions += 1
        call_id = f"{self._questions}@question"
        host, port = self._asker.getsockname()
        question = (
            f"OPTIONS sip:{server[0]}:{server[1]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{self._questions}\r\n"
            f"Max-Forwards: 0\r\nFrom: <sip:question@{host}:{port}>;tag=question\r\n"
            f"To: <sip:{server[0]}:{server[1]}>\r\nCall-ID: {call_id}\r\n"
            f"CSeq: 1 OPTIONS\r\nContact: <sip:{host}:{port}>\r\nContent-Length: 0\r\n\r\n"
        )
        self._asker.sendto(question.encode(), server)
        deadline = time.monotonic() + _PATIENCE
        while not select.select([self._asker], [], [], 0.0)[0]:
            assert time.monotonic() < deadline, f"{server} does not answer"
            self.run(0.002)
        answer = self._asker.recv(_BIGGEST)
        assert call_id.encode() in answer, answer
        self.now = time.monotonic()
        while readable := select.select(list(self._sockets), [], [], 0.0)[0]:
            for opened in readable:
                self._receive(opened)

    def _do_what_is_due(self) -> None:
        self._do_agenda()
        for party in self._living():
            with self._watching():
                party.endpoint.handle_timers(self.now)
        self.pump()

    def _receive(self, opened: socket.socket) -> None:
        """One datagram of each socket at a time: what it makes us send goes out at once."""
        party = self._sockets[opened]
        data, source = opened.recvfrom(_BIGGEST)
        self.log.append(Packet(self.now, self.name_of(source), party.name, data))
        with self._watching():
            party.endpoint.receive_datagram(data, source, party.listener, self.now)
        self.pump()
