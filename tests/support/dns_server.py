"""A DNS server on 127.0.0.1 for tests: a zone in text, with faults to order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone

_CNAME_STEPS = 8


class DnsServer(asyncio.DatagramProtocol):
    """Answers from one zone; `asked` is what came, `rcodes`, `silent` and `garbage` faults.

    Faults are keyed by record type (``"NAPTR"``): a return code instead of the answer,
    no answer, or the octets to send after the id of the query.
    """

    def __init__(self, zone: dns.zone.Zone) -> None:
        self.zone = zone
        self.asked: list[tuple[str, str]] = []
        self.rcodes: dict[str, dns.rcode.Rcode] = {}
        self.silent: set[str] = set()
        self.garbage: dict[str, bytes] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((question.name.to_text(omit_final_dot=True), kind))
        if kind in self.garbage:
            self._transport.sendto(data[:2] + self.garbage[kind], addr)
        elif kind not in self.silent:
            self._transport.sendto(self._answer(query, kind).to_wire(), addr)

    def _answer(self, query: dns.message.Message, kind: str) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        if kind in self.rcodes:
            response.set_rcode(self.rcodes[kind])
            return response
        name, rdtype = query.question[0].name, query.question[0].rdtype
        for _ in range(_CNAME_STEPS):
            found = self._find(name, rdtype)
            alias = found or self._find(name, dns.rdatatype.CNAME)
            if alias is not None:
                response.answer.append(alias)
            if found is not None:
                return response
            if alias is None:
                break
            name = alias[0].target
        assert self.zone.origin is not None
        if not name.is_subdomain(self.zone.origin) or self.zone.get_node(name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = self._find(self.zone.origin, dns.rdatatype.SOA)
        if soa is not None:
            response.authority.append(soa)
        return response

    def _find(
        self, name: dns.name.Name | None, rdtype: dns.rdatatype.RdataType
    ) -> dns.rrset.RRset | None:
        if name is None or not name.is_subdomain(self.zone.origin or dns.name.root):
            return None
        return self.zone.get_rrset(name, rdtype)


@asynccontextmanager
async def dns_server(records: str, origin: str = "example.com.") -> AsyncIterator[DnsServer]:
    """A running server for the zone `records`, master file format without SOA and NS."""
    head = "$TTL 60\n@ 60 IN SOA ns hostmaster 1 3600 600 86400 30\n@ IN NS ns\n"
    zone = dns.zone.from_text(head + records, origin, relativize=False, check_origin=False)
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: DnsServer(zone), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
