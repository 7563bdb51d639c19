"""All neighbours together."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType

from simulator.applications import Application
from simulator.lab.agents import Agents, Extension
from simulator.lab.caller import Caller
from simulator.lab.endpoint import LabEndpoint
from simulator.lab.vxml import VxmlGateway
from sip.timers import Timers


class Lab:
    """A VXML gateway, agents and a caller, each on a UDP port of its own.

    ``async with Lab(server="sip:127.0.0.1:5060") as lab: ...``. Port 0 takes any free one.
    The server's address is the caller's; it may be set later (``lab.caller.server``).
    """

    vxml: VxmlGateway
    agents: Agents
    caller: Caller

    def __init__(
        self,
        server: str = "",
        host: str = "127.0.0.1",
        *,
        vxml_port: int = 0,
        agents_port: int = 0,
        caller_port: int = 0,
        extensions: Iterable[Extension] | None = None,
        applications: Mapping[str, Application] | None = None,
        timers: Timers | None = None,
    ) -> None:
        self._server = server
        self._host = host
        self._ports = (vxml_port, agents_port, caller_port)
        self._extensions = extensions
        self._applications = applications
        self._timers = timers
        self._open: list[LabEndpoint] = []

    async def start(self) -> None:
        """Open the ports. Raises OSError, and leaves none open, when one cannot be had."""
        host, timers = self._host, self._timers
        vxml_port, agents_port, caller_port = self._ports
        try:
            applications = self._applications
            self.vxml = VxmlGateway(host, vxml_port, applications=applications, timers=timers)
            self._open.append(self.vxml)
            self.agents = Agents(host, agents_port, extensions=self._extensions, timers=timers)
            self._open.append(self.agents)
            self.caller = Caller(self._server, host, caller_port, timers=timers)
            self._open.append(self.caller)
        except OSError:
            await self.close()
            raise

    @property
    def addresses(self) -> dict[str, str]:
        """Where each neighbour is: ``{"vxml": "sip:127.0.0.1:40001", ...}``."""
        return {"vxml": self.vxml.uri, "agents": self.agents.uri, "caller": self.caller.uri}

    async def close(self) -> None:
        """Hang up all calls and close the ports."""
        closing, self._open = self._open, []
        await asyncio.gather(*[endpoint.close() for endpoint in closing])

    async def __aenter__(self) -> "Lab":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
