"""RFC 3263: every branch of sections 4.1 and 4.2, without a network."""

import random
import tracemalloc
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from sip.errors import ParseError
from sip.ids import IdSource
from sip.locate import (
    Cache,
    Locator,
    Lookup,
    Reach,
    Target,
    Targets,
    hop_of_uri,
    srv_order,
)
from sip.records import FAILED, FAILURE_TTL, Answer, Kind, Naptr, Query, Srv
from sip.transport import Listener

Zone = Mapping[tuple[str, Kind], Sequence[Naptr | Srv | str] | Answer]

V4 = Reach((("UDP", "A"), ("TCP", "A"), ("TLS", "A")))
DUAL = Reach((("UDP", "A"), ("UDP", "AAAA"), ("TCP", "AAAA"), ("TCP", "A")))


def ids(seed: int = 1) -> IdSource:
    return IdSource(random.Random(seed).randbytes)


def answer(zone: Zone, query: Query, ttl: float = 60.0) -> Answer:
    found = zone.get((query.name, query.kind), ())
    return found if isinstance(found, Answer) else Answer(tuple(found), ttl)


def resolve(
    uri: str, zone: Zone, reach: Reach = V4, large: bool = False
) -> tuple[list[str], list[str]]:
    """The targets as text, and the queries in rounds: ``NAPTR example.com``."""
    lookup = Lookup(hop_of_uri(uri), reach, ids(), large)
    asked: list[str] = []
    while lookup.targets is None:
        for query in sorted(lookup.needs):
            asked.append(f"{query.kind} {query.name}")
            lookup.answer(query, answer(zone, query))
    assert bool(lookup.targets) != bool(lookup.reason)
    return [f"{one.transport} {one.host} {one.port}" for one in lookup.targets], asked


def naptr(
    order: int, preference: int, service: str, target: str, flags: str = "s", regexp: str = ""
) -> Naptr:
    return Naptr(order, preference, flags, service, regexp, target)


HOST: Zone = {("example.com", "A"): ["192.0.2.1"], ("example.com", "AAAA"): ["2001:db8::1"]}
SERVERS: Zone = {
    **HOST,
    ("_sip._udp.example.com", "SRV"): [Srv(1, 0, 5070, "u.example.com.")],
    ("_sip._tcp.example.com", "SRV"): [Srv(1, 0, 5071, "t.example.com.")],
    ("_sips._tcp.example.com", "SRV"): [Srv(1, 0, 5072, "s.example.com.")],
    ("u.example.com", "A"): ["192.0.2.11"],
    ("t.example.com", "A"): ["192.0.2.12"],
    ("s.example.com", "A"): ["192.0.2.13"],
}


def with_naptr(*records: Naptr, zone: Zone = SERVERS) -> Zone:
    return {**zone, ("example.com", "NAPTR"): records}


UDP_NAPTR = naptr(100, 50, "SIP+D2U", "_sip._udp.example.com.")
TCP_NAPTR = naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com.")
TLS_NAPTR = naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com.")
NOT_OFFERED = Srv(0, 0, 0, ".")


@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        ("sip:192.0.2.7", ["UDP 192.0.2.7 5060"]),
        ("sip:192.0.2.7:5090", ["UDP 192.0.2.7 5090"]),
        ("sip:192.0.2.7;transport=TCP", ["TCP 192.0.2.7 5060"]),
        ("sip:192.0.2.7;transport=tls", ["TLS 192.0.2.7 5061"]),
        ("sips:192.0.2.7", ["TLS 192.0.2.7 5061"]),
        ("sips:192.0.2.7:5090;transport=tcp", ["TLS 192.0.2.7 5090"]),
        ("sips:192.0.2.7;transport=udp", []),
        ("sip:192.0.2.7;transport=sctp", []),
        ("sip:example.com;maddr=192.0.2.8", ["UDP 192.0.2.8 5060"]),
        ("sip:[2001:db8::9]", []),
    ],
)
def test_a_numeric_host_needs_no_query(uri: str, targets: list[str]) -> None:
    assert resolve(uri, {}) == (targets, [])


@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        ("sip:[2001:db8::9]", ["UDP 2001:db8::9 5060"]),
        ("sip:[2001:db8::9]:5080;transport=tcp", ["TCP 2001:db8::9 5080"]),
        ("sip:example.com;maddr=[2001:db8::9]", ["UDP 2001:db8::9 5060"]),
    ],
)
def test_a_numeric_ipv6_host(uri: str, targets: list[str]) -> None:
    assert resolve(uri, {}, DUAL) == (targets, [])


@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        ("sip:example.com:5080", ["UDP 192.0.2.1 5080"]),
        ("sip:EXAMPLE.com.:5080;transport=tcp", ["TCP 192.0.2.1 5080"]),
        ("sips:example.com:5080", ["TLS 192.0.2.1 5080"]),
    ],
)
def test_an_explicit_port_asks_for_addresses_only(uri: str, targets: list[str]) -> None:
    assert resolve(uri, with_naptr(TCP_NAPTR)) == (targets, ["A example.com"])


@pytest.mark.parametrize(
    ("uri", "service", "target"),
    [
        ("sip:example.com;transport=udp", "_sip._udp", "UDP 192.0.2.11 5070"),
        ("sip:example.com;transport=tcp", "_sip._tcp", "TCP 192.0.2.12 5071"),
        ("sip:example.com;transport=tls", "_sips._tcp", "TLS 192.0.2.13 5072"),
        ("sips:example.com;transport=tcp", "_sips._tcp", "TLS 192.0.2.13 5072"),
    ],
)
def test_an_explicit_transport_skips_naptr(uri: str, service: str, target: str) -> None:
    targets, asked = resolve(uri, with_naptr(TLS_NAPTR))
    assert targets == [target]
    assert asked[0] == f"SRV {service}.example.com"
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("uri", "records", "targets"),
    [
        ("sip:example.com", [UDP_NAPTR, TCP_NAPTR], ["TCP 192.0.2.12 5071"]),  # by order
        ("sip:example.com", [UDP_NAPTR, TLS_NAPTR], ["TLS 192.0.2.13 5072"]),  # SIPS retained
        ("sips:example.com", [TCP_NAPTR, TLS_NAPTR], ["TLS 192.0.2.13 5072"]),
        ("sips:example.com", [TCP_NAPTR], ["TLS 192.0.2.13 5072"]),  # none of it fits: SRV
        (
            "sip:example.com",  # the lower preference of one order
            [UDP_NAPTR, naptr(100, 10, "sip+d2t", "_sip._tcp.example.com.", "S")],
            ["TCP 192.0.2.12 5071"],
        ),
        (
            "sip:example.com",  # services, flags and rules that are not SIP's
            [
                naptr(1, 1, "SIP+D2S", "_sip._sctp.example.com."),
                naptr(2, 1, "E2U+sip", "_sip._tcp.example.com."),
                naptr(3, 1, "SIP+D2T", "_sip._tcp.example.com.", "u"),
                naptr(4, 1, "SIP+D2T", "_sip._tcp.example.com.", ""),
                naptr(5, 1, "SIP+D2T", "."),
                naptr(6, 1, "SIP+D2T", ".", "s", "!^.*$!x!"),
                UDP_NAPTR,
            ],
            ["UDP 192.0.2.11 5070"],
        ),
        (
            "sip:example.com",  # flag "a": addresses, the default port
            [naptr(1, 1, "SIP+D2T", "t.example.com.", "a")],
            ["TCP 192.0.2.12 5060"],
        ),
        (
            "sip:example.com",  # no server behind the first of the same order
            [naptr(100, 1, "SIP+D2T", "_sip._tcp.gone.example."), UDP_NAPTR],
            ["UDP 192.0.2.11 5070"],
        ),
        (
            "sip:example.com",  # no SRV records: the domain, by the transport NAPTR chose
            [naptr(1, 1, "SIP+D2T", "_sip._tcp.gone.example.")],
            ["TCP 192.0.2.1 5060"],
        ),
    ],
)
def test_naptr_chooses_the_transport(uri: str, records: list[Naptr], targets: list[str]) -> None:
    found, asked = resolve(uri, with_naptr(*records))
    assert asked[0] == "NAPTR example.com"
    assert found == targets


def test_a_transport_that_we_lack_is_not_chosen() -> None:
    zone = with_naptr(TLS_NAPTR, TCP_NAPTR, UDP_NAPTR)
    assert resolve("sip:example.com", zone, Reach((("UDP", "A"),)))[0] == ["UDP 192.0.2.11 5070"]
    assert resolve("sips:example.com", zone, Reach((("UDP", "A"),))) == ([], [])
    assert resolve("sip:192.0.2.7", zone, Reach((("TCP", "A"),)))[0] == ["TCP 192.0.2.7 5060"]
    assert resolve("sip:192.0.2.7", zone, Reach((("TLS", "A"),)))[0] == []
    assert resolve("sip:example.com", HOST, Reach(()))[0] == []


def test_without_naptr_each_transport_is_asked_for() -> None:
    targets, asked = resolve("sip:example.com", SERVERS)
    assert targets == ["UDP 192.0.2.11 5070"]  # the first of ours
    assert asked == [
        "NAPTR example.com",
        "SRV _sip._tcp.example.com",
        "SRV _sip._udp.example.com",
        "SRV _sips._tcp.example.com",
        "A u.example.com",
    ]
    no_udp = {key: value for key, value in SERVERS.items() if key[0] != "_sip._udp.example.com"}
    assert resolve("sip:example.com", no_udp)[0] == ["TCP 192.0.2.12 5071"]
    assert resolve("sips:example.com", SERVERS)[0] == ["TLS 192.0.2.13 5072"]


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:example.com", "UDP 192.0.2.1 5060"),
        ("sips:example.com", "TLS 192.0.2.1 5061"),
        ("sip:example.com;transport=tcp", "TCP 192.0.2.1 5060"),
        ("sip:example.com;transport=tls", "TLS 192.0.2.1 5061"),
    ],
)
def test_without_srv_the_domain_itself_and_the_default_port(uri: str, target: str) -> None:
    assert resolve(uri, HOST)[0] == [target]


def test_a_service_that_is_decidedly_not_there() -> None:
    """RFC 2782: the target ``.``."""
    no_udp: Zone = {**HOST, ("_sip._udp.example.com", "SRV"): [NOT_OFFERED]}
    assert resolve("sip:example.com", no_udp)[0] == ["TCP 192.0.2.1 5060"]
    assert resolve("sip:example.com;transport=udp", no_udp)[0] == []
    twice = with_naptr(UDP_NAPTR, UDP_NAPTR, zone=no_udp)
    assert resolve("sip:example.com", twice)[0] == ["TCP 192.0.2.1 5060"]


def test_srv_servers_come_in_order_with_all_their_addresses() -> None:
    zone: Zone = {
        ("_sip._tcp.example.com", "SRV"): [
            Srv(20, 0, 5060, "b.example.com."),
            Srv(10, 0, 5080, "A.example.com."),
            Srv(30, 0, 5060, "gone.example.com."),
            Srv(40, 0, 5062, "192.0.2.99."),
            Srv(5, 0, 0, "portless.example.com."),
        ],
        ("a.example.com", "A"): ["192.0.2.1", "192.0.2.2"],
        ("a.example.com", "AAAA"): ["2001:db8::1"],
        ("b.example.com", "A"): ["192.0.2.3"],
    }
    targets, asked = resolve("sip:example.com;transport=tcp", zone, DUAL)
    assert targets == [
        "TCP 2001:db8::1 5080",  # TCP prefers IPv6 in DUAL
        "TCP 192.0.2.1 5080",
        "TCP 192.0.2.2 5080",
        "TCP 192.0.2.3 5060",
        "TCP 192.0.2.99 5062",
    ]
    assert "A 192.0.2.99" not in asked


def test_address_families() -> None:
    both = ["UDP 192.0.2.1 5080", "UDP 2001:db8::1 5080"]
    assert resolve("sip:example.com:5080", HOST, DUAL)[0] == both
    assert resolve("sip:example.com:5080", HOST, Reach((("UDP", "AAAA"),)))[0] == both[1:]
    targets, _ = resolve("sip:example.com:5080", {("example.com", "AAAA"): ["2001:db8::1"]})
    assert targets == []


def test_a_large_request_avoids_udp() -> None:
    """RFC 3261 section 18.1.1; not against the URI, and not when there is nothing else."""
    assert resolve("sip:192.0.2.7", {}, large=True)[0] == ["TCP 192.0.2.7 5060"]
    assert resolve("sip:example.com", SERVERS, large=True)[0] == ["TCP 192.0.2.12 5071"]
    assert resolve("sip:192.0.2.7;transport=udp", {}, large=True)[0] == ["UDP 192.0.2.7 5060"]
    alone = Reach((("UDP", "A"),))
    assert resolve("sip:192.0.2.7", {}, alone, large=True)[0] == ["UDP 192.0.2.7 5060"]


@pytest.mark.parametrize("broken", [FAILED, Answer(("192.0.2.66",), 60.0)], ids=["none", "wrong"])
def test_broken_answers_count_as_none(broken: Answer) -> None:
    zone: Zone = {
        **HOST,
        ("example.com", "NAPTR"): broken,
        ("_sip._udp.example.com", "SRV"): broken,
        ("_sip._tcp.example.com", "SRV"): FAILED,
    }
    assert resolve("sip:example.com", zone)[0] == ["UDP 192.0.2.1 5060"]
    wrong: Zone = {("example.com", "A"): [Srv(1, 1, 1, "x."), "192.0.2.1"]}
    assert resolve("sip:example.com:5060", wrong)[0] == ["UDP 192.0.2.1 5060"]


def test_answers_nobody_asked_for_are_ignored() -> None:
    lookup = Lookup(hop_of_uri("sip:example.com:5060"), V4, ids())
    lookup.answer(Query("example.org", "A"), Answer(("192.0.2.66",), 60.0))
    assert lookup.needs == {Query("example.com", "A")}


def test_hostile_answers_are_bounded() -> None:
    many = [Srv(1, 1, 5060, f"h{number}.example.com.") for number in range(3000)]
    lookup = Lookup(hop_of_uri("sip:example.com;transport=udp"), V4, ids())
    lookup.answer(Query("_sip._udp.example.com", "SRV"), Answer(tuple(many), 60.0))
    assert len(lookup.needs) == 32
    rules = [naptr(1, 1, "SIP+D2U", f"_sip._udp.h{number}.example.com.") for number in range(3000)]
    lookup = Lookup(hop_of_uri("sip:example.com"), V4, ids())
    lookup.answer(Query("example.com", "NAPTR"), Answer(tuple(rules), 60.0))
    assert len(lookup.needs) == 8


@pytest.mark.parametrize("uri", ["tel:+1555", "urn:service:sos", "sip:a b", "sip:h;maddr=x%20y"])
def test_what_is_no_sip_uri(uri: str) -> None:
    with pytest.raises(ParseError):
        hop_of_uri(uri)


# RFC 2782.


def test_weights_set_the_share_of_each_server() -> None:
    records = [Srv(1, 60, 1, "a"), Srv(1, 30, 1, "b"), Srv(1, 10, 1, "c"), Srv(0, 0, 1, "first")]
    source = ids(7)
    orders = [srv_order(records, source) for _ in range(10_000)]
    assert {order[0].target for order in orders} == {"first"}
    assert all(len(set(order)) == 4 for order in orders)
    share = Counter(order[1].target for order in orders)
    assert share["a"] == pytest.approx(6000, abs=200)
    assert share["b"] == pytest.approx(3000, abs=200)
    assert share["c"] == pytest.approx(1000, abs=200)
    # Of those left, again by weight: b against c is 3 to 1 after a.
    after_a = Counter(order[2].target for order in orders if order[1].target == "a")
    assert after_a["b"] / after_a["c"] == pytest.approx(3.0, rel=0.15)


def test_weight_zero_is_seldom_but_not_never() -> None:
    source = ids(7)
    first = Counter(
        srv_order([Srv(1, 99, 1, "heavy"), Srv(1, 0, 1, "zero")], source)[0].target
        for _ in range(10_000)
    )
    assert first["zero"] == pytest.approx(100, abs=50)
    assert srv_order([], source) == []


# Targets, section 4.3.


def test_failover_goes_through_all_targets_once() -> None:
    found = [Target("UDP", f"192.0.2.{last}", 5060) for last in (1, 2)]
    targets = Targets(found, "example.com")
    assert list(targets) == found
    assert targets.current == found[0]
    assert targets.next() == found[1]
    assert targets.current == found[1]
    assert targets.next() is None
    assert targets.next() is None
    assert targets.current is None


# Cache.

QUERY = Query("example.com", "A")


@pytest.mark.parametrize(
    ("kept", "lasts"),
    [
        (Answer(("192.0.2.1",), 30.0), 30.0),
        (Answer((), 20.0), 20.0),
        (Answer(("192.0.2.1",), 1e9), 86_400.0),
        (Answer((), 1e9), 10_800.0),
        (FAILED, FAILURE_TTL),
        (Answer((), 1e9, failed=True), FAILURE_TTL),
    ],
)
def test_an_answer_lasts_for_its_ttl(kept: Answer, lasts: float) -> None:
    cache = Cache()
    cache.put(QUERY, kept, 100.0)
    assert cache.get(QUERY, 100.0 + lasts - 0.01) == kept
    assert cache.get(QUERY, 100.0 + lasts) is None


def test_the_cache_is_bounded() -> None:
    cache = Cache(most=3)
    queries = [Query(f"h{number}", "A") for number in range(5)]
    for query in queries:
        cache.put(query, Answer((), 60.0), 0.0)
    assert [cache.get(query, 1.0) is not None for query in queries] == [False] * 2 + [True] * 3


# Locator.


class Bench:
    """A locator, and the targets it has found in order."""

    def __init__(self, zone: Zone, ttl: float = 60.0) -> None:
        self.listeners = [Listener("UDP", "192.0.2.100", 5060), Listener("TCP", "::", 5060)]
        self.locator = Locator(self.listeners, ids())
        self.zone = zone
        self.ttl = ttl
        self.found: list[Targets] = []
        self.asked = 0

    def locate(self, uri: str, now: float = 0.0) -> None:
        self.locator.locate(uri, lambda targets, _: self.found.append(targets), now)

    def serve(self, now: float = 0.0) -> None:
        while self.locator.queries:
            queries, self.locator.queries = self.locator.queries, []
            for query in queries:
                self.asked += 1
                self.locator.answered(query, answer(self.zone, query, self.ttl), now)

    def hosts(self) -> list[list[str]]:
        return [[target.host for target in targets] for targets in self.found]


def test_a_query_is_asked_once_for_all_who_wait() -> None:
    bench = Bench(SERVERS)
    for _ in range(3):
        bench.locate("sip:example.com")
    bench.locate("sip:u.example.com:5099")
    bench.serve()
    assert bench.hosts() == [["192.0.2.11"]] * 4
    assert bench.asked == 4  # NAPTR, two SRV, one A
    assert bench.found[-1].domain == "example.com"


def test_what_is_cached_is_found_at_once_until_its_ttl() -> None:
    bench = Bench(SERVERS)
    bench.locate("sip:example.com", 0.0)
    bench.serve(0.0)
    bench.locate("sip:example.com", 59.9)
    assert len(bench.found) == 2
    bench.locate("sip:example.com", 60.0)
    assert len(bench.found) == 2
    assert bench.locator.queries == [Query("example.com", "NAPTR")]


def test_a_ttl_of_zero_serves_those_who_wait() -> None:
    bench = Bench(SERVERS, ttl=0.0)
    bench.locate("sip:example.com")
    bench.locate("sip:example.com")
    bench.serve()
    assert bench.hosts() == [["192.0.2.11"]] * 2
    bench.locate("sip:example.com")
    assert len(bench.locator.queries) == 1


def test_an_unasked_answer_and_a_repeated_one_do_nothing() -> None:
    bench = Bench(HOST)
    bench.locate("sip:example.com:5060")
    for _ in range(2):
        bench.locator.answered(Query("example.com", "A"), Answer(("192.0.2.1",), 9.0), 0.0)
    assert bench.hosts() == [["192.0.2.1"]]


def test_what_leads_nowhere_says_why() -> None:
    bench = Bench({})
    for uri in ("tel:+1555", "sip:example.org", "sips:example.org", "sip:x;transport=ws"):
        bench.locate(uri)
        bench.serve()
    assert bench.hosts() == [[]] * 4
    assert bench.found[0].current is None
    assert bench.found[1].reason == "example.org: no address found"
    assert bench.found[2].reason == "example.org: no transport that both sides have"
    assert bench.found[0].reason


def test_a_shunned_target_comes_last_for_a_while() -> None:
    zone: Zone = {("example.com", "A"): ["192.0.2.1", "192.0.2.2"]}
    bench = Bench(zone)
    bench.locator.shun(Target("UDP", "192.0.2.1", 5060), 30.0, 0.0)
    for now in (0.0, 29.0, 30.0):
        bench.locate("sip:example.com:5060", now)
        bench.serve(now)
    assert bench.hosts() == [["192.0.2.2", "192.0.2.1"]] * 2 + [["192.0.2.1", "192.0.2.2"]]


def test_a_numeric_host_is_direct_and_follows_the_listeners() -> None:
    bench = Bench({})
    direct = bench.locator.direct
    assert direct("sip:192.0.2.7") == Target("UDP", "192.0.2.7", 5060)
    assert direct("sip:192.0.2.7") is direct("sip:192.0.2.7")
    assert direct("sip:[2001:db8::1];transport=tcp") == Target("TCP", "2001:db8::1", 5060)
    assert direct("sips:192.0.2.7") is None
    assert direct("sip:example.com") is None
    assert direct("tel:+1555") is None
    bench.listeners.append(Listener("TLS", "192.0.2.100", 5061))
    assert direct("sips:192.0.2.7") == Target("TLS", "192.0.2.7", 5061)
    del bench.listeners[0]
    assert direct("sip:192.0.2.7") is None


def test_maddr_does_not_change_the_name_that_a_certificate_must_bear() -> None:
    bench = Bench({})
    bench.locate("sip:Example.com;maddr=192.0.2.8")
    assert bench.hosts() == [["192.0.2.8"]]
    assert bench.found[0].domain == "example.com"


def test_weights_are_drawn_anew_for_each_request() -> None:
    zone: Zone = {
        ("_sip._udp.example.com", "SRV"): [Srv(1, 1, 5060, "a."), Srv(1, 1, 5060, "b.")],
        ("a", "A"): ["192.0.2.1"],
        ("b", "A"): ["192.0.2.2"],
    }
    bench = Bench(zone)
    for _ in range(100):
        bench.locate("sip:example.com")
        bench.serve()
    assert {hosts[0] for hosts in bench.hosts()} == {"192.0.2.1", "192.0.2.2"}
    assert {len(hosts) for hosts in bench.hosts()} == {2}


def test_long_uris_are_not_remembered() -> None:
    """Else the tables of a server would fill with what a peer makes up."""
    locator = Locator([Listener("UDP", "192.0.2.1", 5060)], ids())
    tracemalloc.start()
    try:
        for number in range(200):
            target = locator.direct(f"sip:{number}{'a' * 10_000}@192.0.2.7")
            assert target == Target("UDP", "192.0.2.7", 5060)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000  # 2 MB of URIs went through
