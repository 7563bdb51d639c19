import asyncio
import socket

import pytest

from simulator.lab import Lab
from sip.timers import Timers
from tests.simulator.lab.helpers import FAST, LIMIT, connected, run


def test_each_neighbour_has_an_address() -> None:
    async def scenario(lab: Lab) -> None:
        assert lab.addresses == {
            "vxml": f"sip:127.0.0.1:{lab.vxml.port}",
            "agents": f"sip:127.0.0.1:{lab.agents.port}",
            "caller": f"sip:127.0.0.1:{lab.caller.port}",
        }
        assert len(set(lab.addresses.values())) == 3

    run(scenario)


def test_closing_hangs_up_on_the_other_side() -> None:
    async def scenario(lab: Lab) -> None:
        async with Lab(timers=FAST) as other:
            call, agent = await connected(other.caller, lab.agents)
        assert call.ending is not None
        assert (await agent.ended()).by == "peer"

    run(scenario)


def test_closing_does_not_wait_for_a_dead_peer() -> None:
    async def scenario(lab: Lab) -> None:
        call, agent = await connected(lab.caller, lab.agents)
        lab.caller.stack.close()
        lab.caller.sink.close()
        await asyncio.wait_for(lab.agents.close(grace=0.05), 1)
        assert call.ending is None
        assert agent.ending is None

    run(scenario)


def test_a_port_that_is_taken() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            lab = Lab(agents_port=taken.getsockname()[1])
            with pytest.raises(OSError, match="in use"):
                await lab.start()
            port = lab.vxml.port
        async with Lab(vxml_port=port):
            pass

    asyncio.run(main())


def test_all_interfaces_and_what_each_peer_is_told() -> None:
    async def scenario(lab: Lab) -> None:
        async with Lab(host="0.0.0.0", timers=FAST) as wide:
            wide.agents.answer_after = 0.0
            assert wide.agents.uri == f"sip:127.0.0.1:{wide.agents.port}"
            call = await lab.caller.call(f"sip:1001@127.0.0.1:{wide.agents.port}")
            assert await call.answered()
            remote = call.negotiation.remote
            assert remote is not None
            assert remote.connection == "127.0.0.1"
            assert call.session.dialog.target.startswith("sip:1001@127.0.0.1")

    run(scenario)


def test_a_call_that_nobody_answers_times_out() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            server = f"sip:127.0.0.1:{silent.getsockname()[1]}"
            async with Lab(server, timers=Timers(t1=0.005)) as lab:
                call = await lab.caller.call("1001")
                ending = await call.ended()
        assert (ending.status, ending.by) == (408, "timeout")

    asyncio.run(asyncio.wait_for(main(), LIMIT))
