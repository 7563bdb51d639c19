"""Listeners on all interfaces: each peer sees the address that it can reach (18.1.1)."""

import asyncio

import pytest

from sip.events import Answered, Invited
from tests.support.phone import phones


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize(("everywhere", "here"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_all_interfaces(transport: str, everywhere: str, here: str) -> None:
    async def play() -> None:
        async with phones(2) as (alice, bob):
            for phone in (alice, bob):
                await phone.listen(transport, everywhere)
            alice.call(bob.at(here))
            await alice.sees(Answered)
            invite = next(e.request for e in bob.seen if isinstance(e, Invited))
            answer = next(e.response for e in alice.seen if isinstance(e, Answered))
            host = f"[{here}]" if ":" in here else here
            assert invite.via.sent_by == f"{host}:{alice.listener.port}"
            for message in (invite, answer):
                assert f"<sip:{host}:" in (message.get("contact") or "")

    asyncio.run(play())


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_both_families_on_one_port(transport: str) -> None:
    """The target's family chooses; neither takes what is the other's."""

    async def play() -> None:
        async with phones(2) as (alice, bob):
            port = (await bob.listen(transport, "0.0.0.0")).port
            await bob.listen(transport, "::", port)
            for host in ("127.0.0.1", "::1"):
                await alice.listen(transport, host)
            for host in ("127.0.0.1", "::1"):
                alice.call(bob.at(host))
                await alice.sees(Answered)
                alice.seen.clear()
            hosts = [e.session.remote_address[0] for e in bob.seen if isinstance(e, Invited)]
            assert hosts == ["127.0.0.1", "::1"]

    asyncio.run(play())
