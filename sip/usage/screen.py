"""Who may send us requests outside of dialogs, and how many: what stands before the call.

`Screen.admit` is asked of every request that belongs to no dialog. Those who are known, that is
configured peers and this machine, pass the limits; all others have a token bucket for each
source, and a source that is proven may be banned. An address is proven when the far end has
shown that it hears us there: by a stream, or by an answer to our nonce. A datagram may come from
anybody, in anybody's name: it costs no more than the bucket for datagrams of that name, in a table
that does not grow. Streams have their own, and so has what is held against a proven source.
"""

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from sip.errors import PeerError, Unanswered
from sip.message import Request, reason_phrase
from sip.transport import Address, Listener

MOST_SOURCES: Final = 4096
"""Buckets of each kind; then the longest quiet goes, which then has a full one again."""

MOST_BANS: Final = 1024
"""Then the oldest is lifted."""

AMPLIFICATION: Final = 3
"""What we say to an unknown sender of a datagram, without a transaction, is no more than so many
times as long as what came: as RFC 9000 section 8.1 has it of addresses that are not validated."""

_MEMORY: Final = 900.0
"""Seconds after the last wrong password until they are forgotten."""

_TOLD: Final = 1.0
"""Seconds between two answers to a source by UDP that is over its rate. An INVITE gets none: a copy
of it may find room, and who has heard a 503 has given up."""

Hosts = Callable[[str], bool]
"""Whether an IP address is one of some."""

Noted = Callable[[str, str, float], None]
"""Told the network and what became of it (``limited`` or the reason of a ban), and the time."""


@lru_cache(maxsize=1024)
def network_of(host: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 of an IPv6 one (RFC 6177)."""
    if ":" not in host:
        return host
    return str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))


class Rule:
    """Who may do what at a listener; a method without an entry belongs to calling.

    Others get 403, or nothing where it is `silent`.
    """

    __slots__ = ("_call", "_others", "_silent")

    def __init__(self, call: Hosts, others: Mapping[str, Hosts], *, silent: bool) -> None:
        self._call = call
        self._others = dict(others)
        self._silent = silent

    def allows(self, method: str, host: str) -> bool:
        """Whether `host` may send such a request."""
        return self._others.get(method, self._call)(host)

    def check(self, method: str, host: str) -> None:
        """PeerError, 403 or Unanswered, where it may not."""
        if not self.allows(method, host):
            if self._silent:
                raise Unanswered(f"{method} is not for {host}")
            raise PeerError("sip.sources does not allow this address", 403)


class Limits:
    """What an unknown source may do: see `sip.limits` of the configuration; 0: no such limit.

    `rate` requests a second, after a `burst` of so many; `unacknowledged` INVITEs that wait for
    their ACK, by UDP; `wrong_passwords` until a ban of `ban` seconds.
    """

    __slots__ = ("ban", "burst", "rate", "unacknowledged", "wrong_passwords")

    def __init__(
        self,
        rate: float = 0.0,
        burst: float = 1.0,
        unacknowledged: int = 0,
        wrong_passwords: int = 0,
        ban: float = 0.0,
    ) -> None:
        self.rate = rate
        self.burst = burst
        self.unacknowledged = unacknowledged
        self.wrong_passwords = wrong_passwords
        self.ban = ban


class Ban:
    """A source that is not heard until a time; `refused` requests of it were dropped."""

    __slots__ = ("network", "reason", "refused", "since", "until")

    def __init__(self, network: str, reason: str, since: float, until: float) -> None:
        self.network = network
        self.reason = reason
        self.since = since
        self.until = until
        self.refused = 0


class _Bucket:
    """What a source may still send by datagrams, or by streams; times are seconds.

    `excess` is what came by streams and was refused; it runs off at the rate of the bucket.
    """

    __slots__ = ("excess", "limited", "tokens", "told", "updated")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.updated = now
        self.limited = False  # since it was full
        self.excess = 0.0
        self.told = -_TOLD


class _Guesses:
    """What a proven source has tried: hashes of wrong credentials, each with that of its user."""

    __slots__ = ("at", "wrong")

    def __init__(self) -> None:
        self.at = 0.0  # the last one
        self.wrong: dict[int, int] = {}


class Screen:
    """The rules by listener, the limits, the sources and the bans.

    `unacknowledged` counts by host the INVITEs that wait for their ACK (`Endpoint` keeps it);
    `peers` are the IP addresses of configured peers, `exempt` says what others are known;
    `noted` is told when a source is limited or banned. `dropped` counts requests without an
    answer, `refused` those that were answered 503, `bans_made` all bans there ever were.
    """

    def __init__(self, unacknowledged: Mapping[str, int], noted: Noted | None = None) -> None:
        self.rules: dict[Listener, Rule] = {}
        self.limits = Limits()
        self.peers: set[str] = set()
        self.exempt: Hosts | None = None
        self.bans: dict[str, Ban] = {}
        self.dropped = 0
        self.refused = 0
        self.bans_made = 0
        self._unacknowledged = unacknowledged
        self._noted = noted
        self._datagrams: dict[str, _Bucket] = {}
        self._streams: dict[str, _Bucket] = {}
        self._guesses: dict[str, _Guesses] = {}

    def admit(self, request: Request, address: Address, listener: Listener, now: float) -> None:
        """Let a request pass that belongs to no dialog, or raise the PeerError that ends it."""
        host = address[0]
        if self.rules:
            rule = self.rules.get(listener)
            if rule is not None:
                rule.check(request.method, host)
        if not self._is_peer(host):
            self._limit(request.method, host, listener, now)

    def give_back(self, address: Address, listener: Listener, now: float) -> None:
        """Undo what `admit` took from the rate of a source: it is asked again of the same request,
        which has waited."""
        if self.limits.rate and not self._is_peer(address[0]):
            bucket = self._bucket(network_of(address[0]), listener, now)
            bucket.tokens = min(bucket.tokens + 1.0, self.limits.burst)

    def allows(self, method: str, address: Address, listener: Listener) -> bool:
        """Whether the rules let an address send such a request, in a dialog too."""
        rule = self.rules.get(listener)
        return rule is None or rule.allows(method, address[0])

    def known(self, host: str) -> bool:
        """Whether it is a configured peer or this machine: never limited, never banned."""
        return self._is_peer(host) or self._is_exempt(host)

    def wrong_password(self, address: Address, user: str, guess: str, now: float) -> None:
        """Credentials over a nonce that we gave to this very address: it hears us there.

        The same `guess` again is a copy, and counts once.
        """
        host, limits = address[0], self.limits
        if not limits.wrong_passwords or self.known(host):
            return
        network = network_of(host)
        guesses = self._guesses.pop(network, None)
        if guesses is None or now - guesses.at > _MEMORY:
            guesses = _Guesses()
        if len(self._guesses) >= MOST_SOURCES:
            del self._guesses[next(iter(self._guesses))]
        guesses.at = now
        guesses.wrong[hash(guess)] = hash(user)
        if len(guesses.wrong) >= limits.wrong_passwords:
            self._ban(network, "wrong passwords", now)
        else:
            self._guesses[network] = guesses

    def right_password(self, address: Address, user: str) -> None:
        """Forgive what was tried for this user, not for others: guessers have accounts too."""
        guesses = self._guesses.get(network_of(address[0]))
        if guesses is not None:
            known = hash(user)
            guesses.wrong = {one: whose for one, whose in guesses.wrong.items() if whose != known}

    def lift(self, network: str) -> None:
        """End the ban of a source."""
        self.bans.pop(network, None)

    def banned(self, now: float) -> list[Ban]:
        """The bans that are not over, the oldest first."""
        for network in [one.network for one in self.bans.values() if one.until <= now]:
            del self.bans[network]
        return list(self.bans.values())

    def forget(self) -> None:
        """Lift all bans, and fill all buckets."""
        self.bans.clear()
        self._datagrams.clear()
        self._streams.clear()
        self._guesses.clear()

    # Sources. Who is exempt costs most to tell: it is asked last, where something is refused.

    def _is_peer(self, host: str) -> bool:
        return host in self.peers or host[:4] == "127." or host == "::1"

    def _is_exempt(self, host: str) -> bool:
        return self.exempt is not None and self.exempt(host)

    def _limit(self, method: str, host: str, listener: Listener, now: float) -> None:
        network = network_of(host)
        ban = self.bans.get(network)
        if ban is not None:
            if now >= ban.until:
                del self.bans[network]
            elif not self._is_exempt(host):
                ban.refused += 1
                self.dropped += 1
                raise Unanswered(f"{network} is banned")
        if self.limits.rate:
            bucket = self._bucket(network, listener, now)
            if bucket.tokens >= 1.0:
                bucket.tokens -= 1.0
            elif not self._is_exempt(host):
                self._exceeded(bucket, method, network, listener, now)
        most = self.limits.unacknowledged
        waiting = self._unacknowledged.get(host, 0) if method == "INVITE" and most else 0
        if waiting >= most > 0 and not listener.reliable and not self._is_exempt(host):
            self.dropped += 1
            raise Unanswered(f"too many calls of {host} wait for their ACK")

    def _exceeded(
        self, bucket: _Bucket, method: str, network: str, listener: Listener, now: float
    ) -> None:
        """Over its rate. Answers by UDP are as rare as they are useless to who is not there."""
        if not bucket.limited:
            bucket.limited = True
            if self._noted is not None:
                self._noted(network, "limited", now)
        if listener.reliable:
            bucket.excess += 1.0
            if bucket.excess >= self.limits.burst:
                bucket.excess = 0.0
                self._ban(network, "too many requests", now)
        elif method == "INVITE" or now - bucket.told < _TOLD:
            self.dropped += 1
            raise Unanswered(f"{network} is over its rate")
        bucket.told = now
        self.refused += 1
        raise PeerError(reason_phrase(503), 503, "Retry-After: 1\r\n")

    def _bucket(self, network: str, listener: Listener, now: float) -> _Bucket:
        """The bucket of a source, filled for the time that has passed; it is the last to go."""
        buckets = self._streams if listener.reliable else self._datagrams
        limits = self.limits
        bucket = buckets.pop(network, None)
        if bucket is None:
            if len(buckets) >= MOST_SOURCES:
                del buckets[next(iter(buckets))]
            bucket = _Bucket(limits.burst, now)
        else:
            flow = (now - bucket.updated) * limits.rate
            bucket.tokens = min(bucket.tokens + flow, limits.burst)
            bucket.excess = max(bucket.excess - flow, 0.0)
            bucket.updated = now
            if bucket.tokens >= limits.burst:
                bucket.limited = False
        buckets[network] = bucket
        return bucket

    def _ban(self, network: str, reason: str, now: float) -> None:
        if not self.limits.ban:
            return
        if len(self.bans) >= MOST_BANS:
            del self.bans[next(iter(self.bans))]
        self.bans_made += 1
        self.bans[network] = Ban(network, reason, now, now + self.limits.ban)
        if self._noted is not None:
            self._noted(network, reason, now)
