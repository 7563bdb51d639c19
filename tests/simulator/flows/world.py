"""A call server with its neighbours: a caller, a VXML gateway, agents."""

from typing import Any

from sip.message import Request, Response
from tests.simulator.flows.phones import SILENT, Line, Manner, Phone
from tests.support.network import Network
from tests.support.virtual_server import VirtualServer, configuration

SOON = 0.2  # several round trips, less than any timer
CALLING = "5551234"


class World(VirtualServer):
    """A server and three phones; `sections` are laid over the built-in plan.

    There is no ringtone leg from queue to agent, unless `services` says so.
    """

    def __init__(self, network: Network, **sections: Any) -> None:
        self.caller = Phone(network, "caller", Manner())
        self.vxml = Phone(network, "vxml", Manner())
        self.agents = Phone(network, "agents", Manner(ring=0.0, answer=1.0))
        for number in ("404", "486", "503", "603"):
            self.agents.manners[f"9{number}"] = Manner(refuse=int(number))
        sections.setdefault("services", {"ringtone": ""})
        super().__init__(network, configuration(**sections), self.agents.uri, self.vxml.uri)

    def dial(self, number: str, *, offer: bool = True, lines: str = "") -> Line:
        """The caller calls a number of the server."""
        return self.caller.dial(f"sip:{number}@{self.address}", CALLING, offer=offer, lines=lines)

    def run(self, seconds: float = SOON) -> None:
        """Let time pass."""
        self.network.run(seconds)

    def established(self, number: str) -> Line:
        """A call to `number`, answered and acknowledged; what led there is forgotten."""
        line = self.dial(number)
        self.run(1.5 if number[0] in "68" else SOON)
        assert self.call.caller.answered
        self.forget()
        return line

    def standalone(self) -> Line:
        """A call that the server itself answered."""
        return self.established("5000")

    def connected(self) -> Line:
        """A call with an agent."""
        return self.established("6000")

    def self_service(self) -> Line:
        """A call in self-service, until somebody hangs up."""
        return self.established("3000")

    def queued(self) -> Line:
        """A call in the queue, three seconds before there is an agent."""
        line = self.established("7000")
        self.run(2.0)
        self.forget()
        assert self.state == "queued"
        return line

    def on_hold(self) -> Line:
        """A call with an agent, whom the caller has put on hold."""
        line = self.connected()
        line.offer("sendonly")
        self.run()
        self.forget()
        assert self.state == "on_hold"
        return line

    # What was on the wire.

    def forget(self) -> None:
        """What is asserted from here on begins here."""
        self.network.log.clear()

    @property
    def flow(self) -> list[str]:
        """The messages since then, without 100 Trying."""
        return [step for step in self.network.ladder() if " 100 INVITE" not in step]

    def sent(self, what: str, by: str = "server", to: str = "") -> list[Request | Response]:
        """The messages with a summary that one party sent (to another)."""
        return [
            packet.message
            for packet in self.network.packets(what)
            if packet.source == by and to in ("", packet.target)
        ]

    def the(self, what: str, by: str = "server", to: str = "") -> Request | Response:
        """The only one of them."""
        (message,) = self.sent(what, by, to)
        return message

    def over(self) -> None:
        """The call is over on every leg."""
        assert self.state == "ended"
        self.settle()


__all__ = ["CALLING", "SILENT", "SOON", "Line", "Manner", "Phone", "World"]
