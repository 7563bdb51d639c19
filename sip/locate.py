"""Where a request goes: locating SIP servers (RFC 3263) without a socket.

`Lookup` is the state machine of section 4 for one URI: it names the DNS queries that it
needs and takes their answers. `Locator` runs many of them over one cache: the shell takes
what stands in `Locator.queries` and gives each answer to `Locator.answered`. Both end in
`Targets`, which hands out one address after the other (section 4.3).
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from sip.errors import ParseError
from sip.grammar import is_host, is_ipv4, is_ipv6
from sip.ids import IdSource
from sip.records import FAILURE_TTL, Answer, Kind, Naptr, Query, Srv
from sip.transport import Listener
from sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from sip.server_group import ServerGroup

K = TypeVar("K")
V = TypeVar("V")

LONGEST_TTL: Final = 86_400.0
LONGEST_NEGATIVE_TTL: Final = 10_800.0  # RFC 2308 section 5

_MOST_RECORDS, _MOST_SERVICES, _MOST_HOSTS = 256, 8, 32  # that are looked at, in one lookup
_MOST_ENTRIES: Final = 10_000
_LONGEST_KEPT: Final = 300  # characters of a URI; of longer ones the tables would fill the memory
_SERVICES: Final = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
_PARAMETERS: Final = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}
_PREFIXES: Final = {"UDP": "_sip._udp.", "TCP": "_sip._tcp.", "TLS": "_sips._tcp."}


class Target(NamedTuple):
    """Where to send: transport as in Via (``UDP``), IP address, port."""

    transport: str
    host: str
    port: int


class Targets:
    """The targets of one request in order; `domain` is the name a certificate must bear.

    The name of the URI, not one that the DNS led to, is what TLS verifies (RFC 5922
    section 4). `reason` says in words why there are no targets. `group` is there where
    the URI named one: it knows the names of its servers, and hears how they fare.
    """

    def __init__(
        self,
        found: Iterable[Target],
        domain: str,
        reason: str = "",
        group: "ServerGroup | None" = None,
    ) -> None:
        self._found = tuple(found)
        self._at = 0
        self.domain = domain
        self.reason = reason
        self.group = group

    def reordered(self, found: Iterable[Target]) -> "Targets":
        """`found` as the targets of the same URI."""
        return Targets(found, self.domain, self.reason, self.group)

    def name_of(self, target: Target) -> str:
        """The name that the certificate of `target` must bear."""
        return self.domain if self.group is None else self.group.name_of(target)

    @property
    def current(self) -> Target | None:
        """The target to use now; None when there are none, or none is left."""
        return self._found[self._at] if self._at < len(self._found) else None

    def next(self) -> Target | None:
        """The current target has failed: the next one, or None (RFC 3263 section 4.3).

        Failures are a 503, a transport error, and timer B or F without any response
        before it. The request goes there in a new transaction, with a new branch.
        """
        self._at = min(self._at + 1, len(self._found))
        return self.current

    def __iter__(self) -> Iterator[Target]:
        return iter(self._found)


@dataclass(frozen=True, slots=True)
class Reach:
    """What we can send by: pairs of transport and address family, the preferred first."""

    pairs: tuple[tuple[str, Kind], ...]

    @classmethod
    def of(cls, listeners: Iterable[Listener]) -> "Reach":
        """The reach of the sockets that are open, in their order."""
        pairs: dict[tuple[str, Kind], None] = {}
        for one in listeners:
            pairs[one.transport, "AAAA" if ":" in one.host else "A"] = None
        return cls(tuple(pairs))

    @property
    def transports(self) -> tuple[str, ...]:
        """The transports, in order of preference."""
        return tuple(dict.fromkeys(transport for transport, _ in self.pairs))

    def families(self, transport: str) -> tuple[Kind, ...]:
        """The address families that `transport` has, in order of preference."""
        return tuple(family for name, family in self.pairs if name == transport)


@dataclass(frozen=True, slots=True)
class Hop:
    """What a URI says of where it leads to (RFC 3263 section 4: TARGET, port, transport)."""

    host: str
    port: int | None
    transport: str | None
    secure: bool
    domain: str

    @classmethod
    def of(cls, uri: SipUri) -> "Hop":
        """Raises ParseError when ``maddr`` is no host."""
        maddr = uri.param("maddr")
        host = maddr.removeprefix("[").removesuffix("]") if maddr else uri.host
        if not is_host(host):
            raise ParseError("Malformed maddr parameter")
        secure = uri.scheme == "sips"
        return cls(host.lower().rstrip("."), uri.port, uri.transport, secure, uri.host.lower())

    @property
    def is_numeric(self) -> bool:
        """Whether the host is an IP address."""
        return is_ipv4(self.host) or is_ipv6(self.host)

    def transports(self, reach: Reach, large: bool = False) -> tuple[str, ...]:
        """The transports that may be used, in our order (section 4.1).

        A SIPS URI asks for TLS over TCP, whatever way TCP is named. `large`: the request
        is too long for UDP, unless the URI insists on it (RFC 3261 section 18.1.1).
        """
        ours = reach.transports
        if self.secure:
            wanted = ["TLS"] if self.transport in (None, "tcp", "tls") else []
        elif self.transport is not None:
            wanted = [_PARAMETERS.get(self.transport, "")]
        else:
            wanted = ["TCP", "TLS"] if large and "TCP" in ours else ["UDP", "TCP", "TLS"]
        return tuple(transport for transport in ours if transport in wanted)

    def default(self, allowed: Sequence[str]) -> str | None:
        """The transport where the DNS names none: UDP for SIP, TLS for SIPS (section 4.1).

        TLS is never a guess for a SIP URI; without UDP it is TCP.
        """
        named = self.secure or self.transport is not None
        return next((one for one in (allowed if named else ("UDP", "TCP")) if one in allowed), None)


def hop_of_uri(uri: str) -> Hop:
    """The `Hop` of a URI in text; raises ParseError, with status 416 for other schemes."""
    return _hop_of_uri(uri) if len(uri) <= _LONGEST_KEPT else _read_hop(uri)


def _read_hop(uri: str) -> Hop:
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        raise ParseError(f"{uri!r} is no sip: or sips: URI", 416)
    return Hop.of(parsed)


_hop_of_uri = lru_cache(maxsize=4096)(_read_hop)


def srv_order(records: Iterable[Srv], ids: IdSource) -> list[Srv]:
    """By priority, and by weighted chance within one (RFC 2782, "Weight")."""
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    ordered: list[Srv] = []
    while left:
        group = [record for record in left if record.priority == left[0].priority]
        drawn = ids.below(sum(record.weight for record in group) + 1)
        sums = accumulate(record.weight for record in group)
        ordered.append(group[next(at for at, reached in enumerate(sums) if reached >= drawn)])
        left.remove(ordered[-1])
    return ordered


Service = tuple[str, Query]  # a transport, and the query that leads to its servers
Server = tuple[str, int | None]  # a host and its port, None for the default (section 4.2)


class Lookup:
    """The state machine of RFC 3263 sections 4.1 and 4.2 for one URI.

    Ask every query in `needs`, give the answers to `answer` in any order; `needs` then
    has the next ones, until `targets` is no longer None. Queries that fail count as
    without records: a resolver that chokes on NAPTR does not make a domain unreachable.
    """

    def __init__(self, hop: Hop, reach: Reach, ids: IdSource, large: bool = False) -> None:
        self.needs: set[Query] = set()
        self.targets: list[Target] | None = None
        self.reason = ""
        self.hop = hop
        self._reach = reach
        self._ids = ids
        self._allowed = hop.transports(reach, large)
        self._answers: dict[Query, Answer] = {}
        self._steps = self._run()
        self._advance()

    def answer(self, query: Query, answer: Answer) -> None:
        """Take the answer to a query in `needs`; others are ignored."""
        if query in self.needs:
            self.needs.remove(query)
            self._answers[query] = answer
            self._advance()

    def _advance(self) -> None:
        while not self.needs and self.targets is None:
            try:
                self.needs = set(next(self._steps)) - self._answers.keys()
            except StopIteration as end:
                self.targets = end.value
                if not end.value and not self.reason:
                    self.reason = f"{self.hop.host}: no address found"

    def _run(self) -> Generator[list[Query], None, list[Target]]:
        hop = self.hop
        default = hop.default(self._allowed)
        if hop.is_numeric or hop.port is not None:  # 4.1: no NAPTR, no SRV
            return (yield from self._addresses(default, [(hop.host, hop.port)]))
        services: list[Service] = []
        if hop.transport is None and self._allowed:
            query = Query(hop.host, "NAPTR")
            yield [query]
            services = self._chosen(self._answers[query])
        named = services[0][0] if services else default
        if not services:
            services = [(one, Query(_PREFIXES[one] + hop.host, "SRV")) for one in self._allowed]
        yield [query for _, query in services]
        allowed = list(self._allowed)
        for transport, query in services:
            servers = self._servers(query)
            if servers is None:
                allowed = [one for one in allowed if one != transport]
            elif found := (yield from self._addresses(transport, servers)):
                return found
        # 4.2: no SRV records, so the addresses of the domain itself. The transport is
        # what NAPTR chose, else the default, save what the domain says it does not offer.
        chosen = named if named in allowed else hop.default(allowed)
        return (yield from self._addresses(chosen, [(hop.host, None)]))

    def _chosen(self, answer: Answer) -> list[Service]:
        """The usable NAPTR records of the lowest order that has one, by preference.

        Section 4.1: services other than ours go, for a SIPS URI also those that are not
        SIPS. RFC 3403 section 4.1: no order after the first that fits.
        """
        usable: list[tuple[int, int, Service]] = []
        for record in answer.records:
            if not isinstance(record, Naptr) or record.regexp:
                continue
            transport = _SERVICES.get(record.service.upper(), "")
            name = record.replacement.lower().rstrip(".")
            if transport not in self._allowed or not name:
                continue
            kinds: dict[str, tuple[Kind, ...]] = {"s": ("SRV",), "a": ("A", "AAAA")}
            for kind in kinds.get(record.flags.lower(), ()):
                usable.append((record.order, record.preference, (transport, Query(name, kind))))
        usable = sorted(usable, key=lambda one: one[:2])[:_MOST_SERVICES]
        return [service for order, _, service in usable if order == usable[0][0]]

    def _servers(self, query: Query) -> list[Server] | None:
        """The servers of a service in order; None if it is decidedly not offered."""
        records = self._answers[query].records
        if query.kind != "SRV":
            return [(query.name, None)]
        found = [one for one in records[:_MOST_RECORDS] if isinstance(one, Srv)]
        if len(found) == 1 and found[0].target in (".", ""):  # RFC 2782, "Target"
            return None
        usable = [one for one in found if one.port and one.target not in (".", "")]
        ordered = srv_order(usable, self._ids)
        return [(one.target.lower().rstrip("."), one.port) for one in ordered[:_MOST_HOSTS]]

    def _addresses(
        self, transport: str | None, servers: Sequence[Server]
    ) -> Generator[list[Query], None, list[Target]]:
        """Section 4.2: the addresses of each server, in order; a numeric one is its own."""
        if transport is None:
            self.reason = f"{self.hop.host}: no transport that both sides have"
            return []
        families = self._reach.families(transport)
        wanted = [Query(host, family) for host, _ in servers for family in families]
        for query in wanted:
            if is_ipv4(query.name) or is_ipv6(query.name):
                own = "AAAA" if ":" in query.name else "A"
                self._answers[query] = Answer((query.name,) if own == query.kind else ())
        yield wanted
        found = [
            Target(transport, record, port or (5061 if transport == "TLS" else 5060))
            for host, port in servers
            for family in families
            for record in self._answers[Query(host, family)].records
            if isinstance(record, str)
        ]
        return list(dict.fromkeys(found))


def _keep(table: dict[K, V], key: K, value: V, most: int = _MOST_ENTRIES) -> None:
    """Put `value` last in `table`; when that is full, what came first makes room."""
    table.pop(key, None)
    if len(table) >= most:
        del table[next(iter(table))]
    table[key] = value


class Cache:
    """Answers by query until their time is over, negative ones too (RFC 2308)."""

    def __init__(self, most: int = _MOST_ENTRIES) -> None:
        self._most = most
        self._entries: dict[Query, tuple[float, Answer | None]] = {}

    def get(self, query: Query, now: float) -> Answer | None:
        """The answer, or None if there is none that still holds."""
        until, answer = self._entries.get(query, (now, None))
        return answer if now < until else None

    def put(self, query: Query, answer: Answer, now: float) -> None:
        """Keep an answer for its TTL (0: for nobody but those who wait for it)."""
        longest = LONGEST_TTL if answer.records else LONGEST_NEGATIVE_TTL
        ttl = min(answer.ttl, FAILURE_TTL if answer.failed else longest)
        _keep(self._entries, query, (now + ttl, answer), self._most)


Located = Callable[[Targets, float], None]


class _Pending(NamedTuple):
    lookup: Lookup
    done: Located
    asked: set[Query]


class Locator:
    """Finds the targets of URIs, over one cache; `queries` is what the shell is to ask.

    `listeners` is the live list of the endpoint's sockets: it says what we can send by.
    """

    def __init__(self, listeners: list[Listener], ids: IdSource) -> None:
        self.queries: list[Query] = []
        self.cache = Cache()
        self._listeners = listeners
        self._ids = ids
        self._waiting: dict[Query, list[_Pending]] = {}
        self._shunned: dict[Target, float] = {}
        self._direct: dict[str, Target] = {}
        self._seen: list[Listener] = []
        self.watch: Callable[[Query, Answer], None] | None = None  # told every answer

    def direct(self, uri: str) -> Target | None:
        """The target of a URI with a numeric host; None if it needs `locate`."""
        if self._seen != self._listeners:  # sockets came or went
            self._seen = list(self._listeners)
            self._direct.clear()
        known = self._direct.get(uri)
        if known is None:
            lookup = self._lookup(uri, large=False)
            if isinstance(lookup, Lookup) and lookup.hop.is_numeric and lookup.targets:
                known = lookup.targets[0]
                if len(uri) <= _LONGEST_KEPT:
                    _keep(self._direct, uri, known)
        return known

    def locate(self, uri: str, done: Located, now: float, large: bool = False) -> None:
        """Find the targets of `uri`; `done` may be called before this returns.

        A URI that leads nowhere gives `Targets` without any, and their `reason`.
        """
        lookup = self._lookup(uri, large)
        if isinstance(lookup, ParseError):
            done(Targets((), "", lookup.reason), now)
        else:
            self._feed(_Pending(lookup, done, set()), now)

    def _lookup(self, uri: str, large: bool) -> Lookup | ParseError:
        try:
            return Lookup(hop_of_uri(uri), Reach.of(self._listeners), self._ids, large)
        except ParseError as error:
            return error

    def answered(self, query: Query, answer: Answer, now: float) -> None:
        """The answer to one of `queries`."""
        self.cache.put(query, answer, now)
        if self.watch is not None:
            self.watch(query, answer)
        for pending in self._waiting.pop(query, ()):
            pending.lookup.answer(query, answer)
            self._feed(pending, now)

    def shun(self, target: Target, seconds: float, now: float) -> None:
        """Put `target` behind all others for a while: a 503's Retry-After, a timeout.

        RFC 3261 section 21.5.4. It is still used where there is no other.
        """
        _keep(self._shunned, target, now + seconds)

    def shunned(self, target: Target, now: float) -> bool:
        """Whether `target` comes after all others for now."""
        return self._shunned.get(target, now) > now

    def _feed(self, pending: _Pending, now: float) -> None:
        lookup = pending.lookup
        while lookup.targets is None:
            known = [(query, self.cache.get(query, now)) for query in lookup.needs]
            if not any(answer for _, answer in known):
                break
            for query, answer in known:
                if answer is not None:
                    lookup.answer(query, answer)
        if lookup.targets is not None:
            found = sorted(lookup.targets, key=lambda one: self.shunned(one, now))
            pending.done(Targets(found, lookup.hop.domain, lookup.reason), now)
            return
        for query in sorted(lookup.needs - pending.asked):
            pending.asked.add(query)
            if query not in self._waiting:
                self._waiting[query] = []
                self.queries.append(query)
            self._waiting[query].append(pending)
