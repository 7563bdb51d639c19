"""Running a scenario with the lab endpoints against each other, over loopback UDP."""

import asyncio
from collections.abc import Awaitable, Callable

from simulator.lab import Caller, CallerCall, Lab, LabCall, LabEndpoint
from sip.timers import Timers

FAST = Timers(t1=0.05, t2=0.2, t4=0.2)
LIMIT = 5.0


def run(scenario: Callable[[Lab], Awaitable[None]]) -> None:
    """Run `scenario` in a lab of its own; the caller's server are the agents."""

    async def main() -> None:
        async with Lab(timers=FAST) as lab:
            lab.agents.answer_after = 0.01
            lab.caller.server = lab.agents.uri
            await asyncio.wait_for(scenario(lab), LIMIT)

    asyncio.run(main())


async def connected(
    caller: Caller, callee: LabEndpoint, number: str = "1001"
) -> tuple[CallerCall, LabCall]:
    """An established call: the caller's and the callee's side of it."""
    call = await caller.call(f"sip:{number}@{callee.host}:{callee.port}")
    assert await call.answered()
    found = callee.find(call.call_id)
    assert found is not None
    assert await found.answered()
    return call, found


def ended(endpoint: LabEndpoint, call: LabCall) -> LabCall:
    """The other side of `call`, which is over."""
    return next(other for other in endpoint.ended if other.call_id == call.call_id)


def version(call: LabCall) -> int:
    """The version of our description in force."""
    assert call.negotiation.local is not None
    return call.negotiation.local.origin.sess_version


def direction(call: LabCall) -> str:
    """The direction of our audio."""
    assert call.negotiation.local is not None
    return call.negotiation.local.media[0].direction
