"""A fault rule in force: what it matches, how often it has fired, and its dice."""

import ipaddress
import re
from random import Random
from typing import Final, Literal

from simulator.config_faults import FaultRule
from simulator.patterns import Pattern
from sip.message import Request, Response
from sip.transport import Address, Listener

Direction = Literal["in", "out"]

RE_INVITE: Final = "re-INVITE"


class Passage:
    """One message on its way between socket and endpoint, and what its call is.

    `method` is that of the request, also of a response, or ``re-INVITE``; `status` is 0 for a
    request. `leg` has the names that the leg goes by, `number` and `application` are those of
    the call: empty where a message belongs to none. `copies` go on, and none where it is 0.
    """

    __slots__ = (
        "address",
        "application",
        "copies",
        "data",
        "direction",
        "leg",
        "listener",
        "message",
        "method",
        "number",
        "status",
    )

    def __init__(
        self,
        direction: Direction,
        listener: Listener,
        address: Address,
        data: bytes,
        message: Request | Response,
    ) -> None:
        self.direction = direction
        self.listener = listener
        self.address = address
        self.data = data
        self.message = message
        self.method = message.cseq[1]
        self.status = message.status if isinstance(message, Response) else 0
        self.leg: tuple[str, ...] = ()
        self.number = ""
        self.application = ""
        self.copies = 1

    def __str__(self) -> str:
        return f"{self.status} {self.method}" if self.status else self.method


class ActiveRule:
    """A rule with its counters: `matched` messages, and how often it has `fired`.

    `configured`: it is one of the configuration.
    """

    def __init__(self, rule: FaultRule, *, configured: bool = False) -> None:
        self.rule = rule
        self.name = rule.name
        self.enabled = rule.enabled
        self.configured = configured
        self.matched = 0
        self.fired = 0
        self._dice = Random(f"{rule.seed} {rule.name}")  # nosec B311 # it is to repeat
        self._status = re.compile(rule.status.replace("x", "[0-9]")) if rule.status else None
        self._number = Pattern.parse(rule.number) if rule.number is not None else None
        self._peer = _Peer(rule.peer) if rule.peer is not None else None

    @property
    def used_up(self) -> bool:
        """Whether it has fired as often as it may."""
        return self.rule.count is not None and self.fired >= self.rule.count

    def matches(self, passage: Passage) -> bool:
        """Whether a message meets all conditions but those on how often."""
        rule = self.rule
        if rule.direction not in (None, passage.direction):
            return False
        if rule.method not in (None, passage.method):
            return False
        if self._status is not None:
            if not self._status.fullmatch(str(passage.status)):
                return False
        elif rule.method is not None and passage.status:
            return False
        if rule.leg is not None and rule.leg not in passage.leg:
            return False
        if rule.application not in (None, passage.application):
            return False
        if self._number is not None and not (
            passage.number and self._number.matches(passage.number)
        ):
            return False
        if rule.answer is not None and (
            passage.direction == "out" or passage.status or passage.method == "ACK"
        ):
            return False
        return self._peer is None or self._peer.is_one(passage.address)

    def strikes(self, seen: int) -> bool:
        """Whether it is the turn of a message that matches, the one of its dialog after `seen`.

        It counts the message.
        """
        rule = self.rule
        self.matched += 1
        if rule.nth is not None and seen + 1 != rule.nth:
            return False
        if rule.every is not None and self.matched % rule.every:
            return False
        return rule.probability >= 1.0 or self._dice.random() < rule.probability

    def delay(self) -> float:
        """For how many seconds it holds a message back this time."""
        delay = self.rule.delay
        assert delay is not None
        return delay.seconds + (self._dice.random() * delay.jitter if delay.jitter else 0.0)


class _Peer:
    """An address with a port or without, or a network."""

    def __init__(self, text: str) -> None:
        host, colon, port = text.rpartition(":")
        with_port = colon and (host[-1:] == "]" or ":" not in host)
        self._port = int(port) if with_port else None
        self._network = ipaddress.ip_network(host.strip("[]") if with_port else text)

    def is_one(self, address: Address) -> bool:
        """Whether `address` is the peer's, or in its network."""
        if self._port not in (None, address[1]):
            return False
        try:
            return ipaddress.ip_address(address[0].partition("%")[0]) in self._network
        except ValueError:  # a name, while its connection is being opened
            return False
