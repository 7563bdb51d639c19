"""Rules of RFC 3261 that hold for whatever a party sends, whatever the network does to it."""

from sip.message import Request, parse
from tests.support.network import Packet


class Rules:
    """Sees every packet as it is sent; `broken` says what went against a rule.

    - A request transaction gets one final response: all others equal it (17.2.1, 17.2.2).
    - The CSeq of a dialog's requests grows with each new one (12.2.1.1).
    - ACK and CANCEL carry the CSeq number of their INVITE (13.2.2.4, 17.1.1.3, 9.1), and the
      CANCEL its branch.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.packets = 0
        self._finals: dict[tuple[str, ...], tuple[int, str | None]] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        self._seen: set[tuple[str, str | None, str]] = set()
        self._invites: set[tuple[str | int, ...]] = set()

    def see(self, packet: Packet) -> None:
        """Check one packet."""
        self.packets += 1
        message = parse(packet.data)
        assert message.defect is None, packet.data
        branch = message.via.branch
        if isinstance(message, Request):
            self._request(packet, message, branch)
        elif message.status >= 200:
            key = (packet.source, branch or "", message.get("cseq") or "", message.call_id)
            answer = (message.status, message.to_tag)
            if self._finals.setdefault(key, answer) != answer:
                self._break(packet, f"answered {self._finals[key]} before")

    def _request(self, packet: Packet, request: Request, branch: str | None) -> None:
        number, method = request.cseq
        dialog = (packet.source, request.call_id, request.from_tag or "")
        if method == "ACK":
            if (*dialog, number) not in self._invites:
                self._break(packet, f"no INVITE has the CSeq {number}")
        elif method == "CANCEL":
            if (*dialog, number, branch or "") not in self._invites:
                self._break(packet, "no INVITE has this branch and CSeq")
        elif (packet.source, branch, method) not in self._seen:
            self._seen.add((packet.source, branch, method))
            if number <= self._numbers.get(dialog, 0):
                self._break(packet, f"CSeq does not grow beyond {self._numbers[dialog]}")
            self._numbers[dialog] = number
            if method == "INVITE":
                self._invites |= {(*dialog, number), (*dialog, number, branch or "")}

    def _break(self, packet: Packet, why: str) -> None:
        self.broken.append(f"{packet.time:.3f} {packet}: {why}\n{packet.data.decode()}")


class CheckedLog(list[Packet]):
    """A network's log that has every packet checked, and keeps it only if told to."""

    def __init__(self, *, keep: bool = True) -> None:
        super().__init__()
        self.rules = Rules()
        self._keep = keep

    def append(self, packet: Packet) -> None:
        """A packet was sent."""
        self.rules.see(packet)
        if self._keep:
            super().append(packet)
