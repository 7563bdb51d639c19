"""Asks the DNS what `sip.locate` needs to know, without blocking the loop (RFC 3263)."""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dns.asyncresolver
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from sip.records import FAILED, FAILURE_TTL, Answer, Naptr, Query, Srv

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 64
_SYSTEM_TTL = 30.0  # getaddrinfo tells none
_FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
_LOCALHOST = {"A": ("127.0.0.1",), "AAAA": ("::1",)}  # RFC 6761 section 6.3


class Resolver:
    """Answers queries: the hosts file first, then the DNS, then the system's own way.

    A name that stands in the hosts file, and ``localhost``, never goes to the DNS, as it
    is with other programs. `nameservers` replace those of ``/etc/resolv.conf``; then the
    system's `getaddrinfo` is not asked either. No query takes longer than `timeout`
    seconds in the DNS, and no more than that again in the system.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None = None,
        timeout: float = 3.0,
        hosts: Path = Path("/etc/hosts"),
    ) -> None:
        self._timeout = timeout
        self._hosts = read_hosts(hosts)
        self._system = nameservers is None
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._dns: dns.asyncresolver.Resolver | None = None
        try:
            self._dns = dns.asyncresolver.Resolver(configure=nameservers is None)
        except dns.resolver.NoResolverConfiguration as error:
            log.warning("no DNS: %s", error)
            return
        if nameservers is not None:
            self._dns.nameservers = [
                dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers
            ]
        self._dns.timeout = timeout / 3  # what is lost is asked again
        self._dns.lifetime = timeout

    async def ask(self, query: Query) -> Answer:
        """The answer to a query of `sip.locate`; whatever goes wrong is a failed answer."""
        local = self._local(query)
        if local is not None:
            return local
        async with self._turn:
            answer = await self._ask_dns(query)
            if not answer.records and self._system and query.kind in _FAMILIES:
                known = await self._ask_system(query)
                return known if known.records else answer
        return answer

    def _local(self, query: Query) -> Answer | None:
        """What the hosts file says; it has addresses only, so NAPTR and SRV are empty."""
        owner = query.name
        if query.kind == "SRV":
            owner = owner.partition("._tcp.")[2] or owner.partition("._udp.")[2]
        known = self._hosts.get(owner)
        if known is None and (owner == "localhost" or owner.endswith(".localhost")):
            known = _LOCALHOST
        return None if known is None else Answer(known.get(query.kind, ()), _SYSTEM_TTL)

    async def _ask_dns(self, query: Query) -> Answer:
        if self._dns is None:
            return FAILED
        try:
            name = dns.name.from_text(query.name)
            found = await self._dns.resolve(name, query.kind, raise_on_no_answer=False)
            return answer_of(found.response)
        except dns.resolver.NXDOMAIN as error:
            return _negative(error)
        except Exception as error:  # also what a hostile answer makes the parser raise
            # At DEBUG, as every resolver without NAPTR ends here; who needed it says so.
            log.debug("no answer to %s %s: %s", query.kind, query.name, error)
            return FAILED

    async def _ask_system(self, query: Query) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                found = await loop.getaddrinfo(
                    query.name, None, family=_FAMILIES[query.kind], type=socket.SOCK_DGRAM
                )
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            log.debug("the system does not know %s: %s", query.name, error)
            return FAILED
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        return Answer(tuple(one for one in addresses if "%" not in one), _SYSTEM_TTL)


def answer_of(response: dns.message.QueryMessage) -> Answer:
    """The records of a response, CNAMEs followed, with the least TTL on the way.

    Without records the TTL is that of RFC 2308 section 5. Raises DNSException or ValueError.
    """
    chain = response.resolve_chaining()
    if chain.answer is None:
        return Answer((), _negative_ttl(response, chain.minimum_ttl))
    return Answer(tuple(map(_record, chain.answer)), chain.minimum_ttl)


def _record(data: object) -> Naptr | Srv | str:
    match data:
        case A() | AAAA():
            return str(data.address)
        case SRV():
            return Srv(data.priority, data.weight, data.port, data.target.to_text())
        case NAPTR():
            flags, service, regexp = (
                part.decode("latin-1") for part in (data.flags, data.service, data.regexp)
            )
            target = data.replacement.to_text()
            return Naptr(data.order, data.preference, flags, service, regexp, target)
        case other:
            raise ValueError(f"unexpected record {other}")


def _negative_ttl(response: dns.message.Message, minimum: int) -> float:
    """Without an SOA record a negative answer is not to be kept long (RFC 2308 section 5)."""
    has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)
    return minimum if has_soa else min(FAILURE_TTL, minimum)


def _negative(error: dns.resolver.NXDOMAIN) -> Answer:
    for response in error.responses().values():  # type: ignore[no-untyped-call]
        return answer_of(response)
    return FAILED


def read_hosts(path: Path) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Names in lower case to their A and AAAA addresses, hosts(5); empty without a file."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, address in _hosts(lines):
        entry = table.setdefault(name, {})
        kind = "AAAA" if ":" in address else "A"
        entry[kind] = (*entry.get(kind, ()), address)
    return table


def _hosts(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            continue
        if "%" not in address:
            yield from ((name.lower().rstrip("."), address) for name in names)
