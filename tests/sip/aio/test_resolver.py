"""The resolver against a DNS server of our own, in real time."""

import asyncio
import random
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import dns.rcode
import dns.resolver
import pytest

from sip.aio.resolver import Resolver, read_hosts
from sip.ids import IdSource
from sip.locate import Locator, Target, Targets
from sip.records import FAILED, Answer, Kind, Naptr, Query, Srv
from sip.transport import Listener
from tests.support.dns_server import DnsServer, dns_server

ZONE = r"""
@           60 IN NAPTR 50 50 "s" "SIP+D2T" "" _sip._tcp
@           60 IN NAPTR 90 50 "s" "SIP+D2U" "" _sip._udp
_sip._tcp   40 IN SRV   10 0 5070 a
_sip._tcp   40 IN SRV   20 0 5071 b
_sip._udp   40 IN SRV   10 0 5072 a
a           20 IN A     192.0.2.1
a           20 IN AAAA  2001:db8::1
b           20 IN A     192.0.2.2
alias       10 IN CNAME a
empty       20 IN TXT   "no address"
broken      20 IN SRV   0 0 0 .
"""

Step = Callable[[DnsServer, Resolver], Coroutine[Any, Any, None]]


def run(step: Step, timeout: float = 2.0, hosts: Path = Path("/nonexistent")) -> None:
    async def inner() -> None:
        async with dns_server(ZONE) as server:
            await step(server, Resolver([server.address], timeout, hosts))

    asyncio.run(inner())


async def locate(locator: Locator, resolver: Resolver, uri: str) -> Targets:
    """What the driver does: ask what the locator wants until it has found."""
    found: list[Targets] = []
    locator.locate(uri, lambda targets, _: found.append(targets), 0.0)
    while not found:
        queries, locator.queries = locator.queries, []
        answers = await asyncio.gather(*map(resolver.ask, queries))
        for query, answer in zip(queries, answers, strict=True):
            locator.answered(query, answer, 0.0)
    return found[0]


def locator() -> Locator:
    listeners = [
        Listener("UDP", "192.0.2.100", 5060),
        Listener("TCP", "192.0.2.100", 5060, reliable=True),
        Listener("TCP", "2001:db8::100", 5060, reliable=True),
    ]
    return Locator(listeners, IdSource(random.Random(1).randbytes))


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("a.example.com", "A", Answer(("192.0.2.1",), 20)),
        ("a.example.com", "AAAA", Answer(("2001:db8::1",), 20)),
        ("alias.example.com", "A", Answer(("192.0.2.1",), 10)),
        ("_sip._udp.example.com", "SRV", Answer((Srv(10, 0, 5072, "a.example.com."),), 40)),
        ("broken.example.com", "SRV", Answer((Srv(0, 0, 0, "."),), 20)),
        (
            "example.com",
            "NAPTR",
            Answer(
                (
                    Naptr(50, 50, "s", "SIP+D2T", "", "_sip._tcp.example.com."),
                    Naptr(90, 50, "s", "SIP+D2U", "", "_sip._udp.example.com."),
                ),
                60,
            ),
        ),
        ("empty.example.com", "A", Answer((), 30)),  # the SOA's minimum
        ("gone.example.com", "A", Answer((), 30)),
        ("x" * 64 + ".example.com", "A", FAILED),
    ],
)
def test_records(name: str, kind: Kind, answer: Answer) -> None:
    async def step(_: DnsServer, resolver: Resolver) -> None:
        found = await resolver.ask(Query(name, kind))
        assert sorted(found.records) == sorted(answer.records)
        assert (found.ttl, found.failed) == (answer.ttl, answer.failed)

    run(step)


def test_a_uri_is_located_through_naptr_srv_and_addresses() -> None:
    async def step(server: DnsServer, resolver: Resolver) -> None:
        one = locator()
        targets = await locate(one, resolver, "sip:support@example.com")
        assert list(targets) == [
            Target("TCP", "192.0.2.1", 5070),
            Target("TCP", "2001:db8::1", 5070),
            Target("TCP", "192.0.2.2", 5071),
        ]
        asked = len(server.asked)
        assert asked == 6
        assert list(await locate(one, resolver, "sip:sales@example.com")) == list(targets)
        assert len(server.asked) == asked  # from the cache

    run(step)


@pytest.mark.parametrize("fault", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
def test_a_server_that_chokes_on_naptr(fault: str) -> None:
    async def step(server: DnsServer, resolver: Resolver) -> None:
        server.rcodes["NAPTR"] = dns.rcode.from_text(fault)
        targets = await locate(locator(), resolver, "sip:example.com")
        assert list(targets) == [Target("UDP", "192.0.2.1", 5072)]

    run(step, timeout=0.4)


@pytest.mark.parametrize("octets", [b"", b"\x84", b"\xff" * 40, b"\x84\x00" + b"\0\1" * 4])
def test_an_answer_that_cannot_be_read(octets: bytes) -> None:
    async def step(server: DnsServer, resolver: Resolver) -> None:
        server.garbage["A"] = octets
        assert await resolver.ask(Query("a.example.com", "A")) == FAILED

    run(step, timeout=0.1)


def test_a_silent_server_is_a_failure_after_the_timeout() -> None:
    async def step(server: DnsServer, resolver: Resolver) -> None:
        server.silent = {"A", "NAPTR"}
        loop = asyncio.get_running_loop()
        start = loop.time()
        answers = await asyncio.gather(
            resolver.ask(Query("a.example.com", "A")), resolver.ask(Query("example.com", "NAPTR"))
        )
        assert list(answers) == [FAILED, FAILED]
        assert loop.time() - start < 1.0
        assert len(server.asked) > 2  # asked again

    run(step, timeout=0.4)


def test_an_unreachable_server_is_a_failure() -> None:
    async def inner() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))  # nobody reads it
            resolver = Resolver([taken.getsockname()], 0.1, Path("/nonexistent"))
            targets = await locate(locator(), resolver, "sip:example.com:5060")
        assert targets.current is None
        assert targets.reason == "example.com: no address found"

    asyncio.run(inner())


def test_the_second_nameserver_helps_out() -> None:
    async def inner() -> None:
        async with dns_server(ZONE) as broken, dns_server(ZONE) as sound:
            broken.rcodes["A"] = dns.rcode.SERVFAIL
            resolver = Resolver([broken.address, sound.address])
            answer = await resolver.ask(Query("b.example.com", "A"))
            assert answer.records == ("192.0.2.2",)

    asyncio.run(inner())


def test_names_of_the_hosts_file_do_not_go_to_the_dns(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "# comment\n192.0.2.50 Gateway gw.lan # the gateway\n2001:db8::50 gateway\n"
        "192.0.2.51 gateway\nfe80::1%eth0 linked\nnonsense here\n\n"
    )

    async def step(server: DnsServer, resolver: Resolver) -> None:
        targets = await locate(locator(), resolver, "sip:gateway")
        assert [target.host for target in targets] == ["192.0.2.50", "192.0.2.51"]
        assert (await resolver.ask(Query("gateway", "AAAA"))).records == ("2001:db8::50",)
        assert (await resolver.ask(Query("gw.lan", "AAAA"))).records == ()
        assert server.asked == []

    run(step, hosts=hosts)
    assert "linked" not in read_hosts(hosts)


def test_localhost_needs_neither_dns_nor_a_hosts_file() -> None:
    async def step(server: DnsServer, resolver: Resolver) -> None:
        targets = await locate(locator(), resolver, "sip:localhost")
        assert list(targets) == [Target("UDP", "127.0.0.1", 5060)]
        assert (await resolver.ask(Query("pbx.localhost", "AAAA"))).records == ("::1",)
        assert server.asked == []

    run(step)


@pytest.fixture
def no_dns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A host without resolv.conf, whose system knows the name ``box`` only."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: object, family: int = 0, **__: object) -> list[Any]:
        asked.append(host)
        if host != "box":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        addresses = {socket.AF_INET: ["192.0.2.60"], socket.AF_INET6: ["2001:db8::60", "fe80::1%1"]}
        return [(family, 2, 17, "", (one, 0)) for one in addresses[socket.AddressFamily(family)]]

    def unconfigured(*_: object, **__: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.asyncresolver.Resolver", unconfigured)
    # The loop calls it as getaddrinfo(host, port, family, type, proto, flags).
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, _, family, *rest: getaddrinfo(host, family=family)
    )
    return asked


def test_what_the_dns_does_not_know_the_system_may(no_dns: list[str]) -> None:
    async def inner() -> None:
        resolver = Resolver(hosts=Path("/nonexistent"))
        assert (await resolver.ask(Query("box", "A"))).records == ("192.0.2.60",)
        assert (await resolver.ask(Query("box", "AAAA"))).records == ("2001:db8::60",)
        assert await resolver.ask(Query("other", "A")) == FAILED
        assert await resolver.ask(Query("box", "NAPTR")) == FAILED

    asyncio.run(inner())
    assert no_dns == ["box", "box", "other"]


def test_the_loop_goes_on_while_queries_wait() -> None:
    async def step(server: DnsServer, resolver: Resolver) -> None:
        server.silent = {"A"}
        waiting = asyncio.create_task(resolver.ask(Query("a.example.com", "A")))
        assert (await resolver.ask(Query("a.example.com", "AAAA"))).records == ("2001:db8::1",)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(step)
