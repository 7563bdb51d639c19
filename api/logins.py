"""Failed logins: counted for each address, and slowed, so that passwords cannot be tried out.

After some wrong passwords an address has to wait before the next one: a second, then twice as
long each time. Only logins that have to be checked wait: who is known already, does not.
"""

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from api.errors import ApiError

_log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 900.0
MAX_ADDRESSES: Final = 10_000
LONGEST: Final = 60.0
"""Seconds between two attempts at most."""


@dataclass(slots=True)
class _Address:
    """What came from one address: `failures`, and the times of the last and of the next one."""

    failures: int = 0
    last: float = 0.0
    until: float = 0.0


class Charge(NamedTuple):
    """What an attempt cost: the time of the next one as it was, and as it is since."""

    former: float
    until: float


class FailedLogins:
    """The wrong passwords of each address; `free` of them are not slowed, 0: none is.

    IPv6 addresses count by their /64, which is one customer's. `failed`, `slowed` and `busy`
    count answers 401 to a wrong password, 429 and 503, since the start.
    """

    def __init__(self, free: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.failed = 0
        self.slowed = 0
        self.busy = 0
        self._free = free
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()  # the longest quiet first

    @property
    def addresses(self) -> int:
        """How many have sent a wrong password of late."""
        self._forget(self._clock())
        return len(self._addresses)

    def check(self, address: str) -> None:
        """ApiError 429 while `address` has to wait."""
        known = self._addresses.get(network_of(address))
        wait = 0.0 if known is None else known.until - self._clock()
        if wait > 0:
            self.slowed += 1
            seconds = math.ceil(wait)
            details = f"too many wrong passwords came from {address}; try again in {seconds} s"
            headers = {"Retry-After": str(seconds)}
            raise ApiError(429, details, code="TOO_MANY_FAILED_LOGINS", headers=headers)

    def charge(self, address: str) -> Charge:
        """Count an attempt as failed, before it is known: many at once do not slip through."""
        if not self._free:
            return Charge(0.0, 0.0)
        now = self._clock()
        self._forget(now)
        network = network_of(address)
        known = self._addresses.pop(network, None) or _Address()
        self._addresses[network] = known
        former = known.until
        known.failures += 1
        known.last = now
        surplus = known.failures - self._free
        if surplus >= 0:
            known.until = now + min(LONGEST, 2.0 ** min(surplus, 10))
        if surplus == 0:
            _log.warning("%s is slowed: %d wrong passwords came from there", address, self._free)
        return Charge(former, known.until)

    def refund(self, address: str, charge: Charge) -> None:
        """The attempt was right after all. A wait that a later one brought stays."""
        known = self._addresses.get(network_of(address))
        if known is not None:
            known.failures -= 1
            if known.until == charge.until:
                known.until = charge.former
            if known.failures <= 0:
                del self._addresses[network_of(address)]

    def clear(self) -> None:
        """Forget all addresses."""
        self._addresses.clear()

    def _forget(self, now: float) -> None:
        """Let go of what is too old, and of so many that one more fits."""
        while self._addresses:
            oldest = next(iter(self._addresses.values()))
            if oldest.last + KEPT_SECONDS > now and len(self._addresses) < MAX_ADDRESSES:
                return
            self._addresses.popitem(last=False)


def network_of(address: str) -> str:
    """What counts as one address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
