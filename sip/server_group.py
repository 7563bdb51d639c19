"""Server groups: names that stand for servers known here, in place of the DNS (RFC 3263).

A URI whose host is in `GroupLocator.groups` leads to the servers of that group. The group
decides which may be tried and in what order; it is told how each fared. Requests inside a
dialog do not ask it: where the far end names a group in its Contact, they go to the server
that the dialog is with.
"""

from typing import Protocol

from sip.errors import ParseError
from sip.ids import IdSource
from sip.locate import Hop, Located, Locator, Lookup, Reach, Target, Targets, hop_of_uri
from sip.transport import Address, Listener


class ServerGroup(Protocol):
    """What the stack asks of a group, and tells it."""

    @property
    def patience(self) -> float:
        """Seconds that a server has for its first response by UDP; 0: timer B or F."""

    def uris(self, now: float) -> list[str]:
        """The SIP URIs of the servers that a request may try, in their order."""

    def likely(self) -> str:
        """The SIP URI that a request will probably try first; nothing changes."""

    def located(self, uri: str, target: Target) -> None:
        """`target` is a server of `uri`, one of `uris`."""

    def name_of(self, target: Target) -> str:
        """The name that the certificate of `target` must bear."""

    def by_tcp(self, target: Target) -> bool:
        """Whether `target` also takes TCP, for what is too long for UDP (RFC 3261 18.1.1)."""

    def answered(self, target: Target, now: float) -> None:
        """A server has answered, and not with 503."""

    def failed(self, target: Target, status: int, seconds: int | None, now: float) -> None:
        """A server did not answer (408), or with 503; `seconds` is its Retry-After."""


class GroupLocator(Locator):
    """A `Locator` that knows server groups, by their names in lower case."""

    def __init__(self, listeners: list[Listener], ids: IdSource) -> None:
        super().__init__(listeners, ids)
        self.groups: dict[str, ServerGroup] = {}

    def locate(self, uri: str, done: Located, now: float, large: bool = False) -> None:
        """Find the targets of `uri`, see `Locator.locate`."""
        named = self._named(uri)
        if named is None:
            super().locate(uri, done, now, large)
        else:
            hop, group = named
            _Search(self, group, hop, done, large).start(now)

    def locate_peer(
        self, uri: str, peer: Address, done: Located, now: float, large: bool = False
    ) -> None:
        """The same in a dialog with `peer`: the name of a group stands for that server."""
        named = self._named(uri)
        if named is None:
            super().locate(uri, done, now, large)
        else:
            hop, group = named
            done(self._targets_of(peer, hop, group, large), now)

    def _named(self, uri: str) -> tuple[Hop, ServerGroup] | None:
        """The group that `uri` names, if any, and what else it says."""
        if not self.groups:
            return None
        try:
            hop = hop_of_uri(uri)
        except ParseError:
            return None
        group = self.groups.get(hop.host)
        return (hop, group) if group is not None else None

    def _targets_of(self, peer: Address, hop: Hop, group: ServerGroup, large: bool) -> Targets:
        """`peer` by the transport that `hop` asks for; the group does not hear how it fares."""
        host, port = peer[0], peer[1]
        at_peer = Hop(host, port, hop.transport, hop.secure, hop.domain)
        lookup = Lookup(at_peer, Reach.of(self._listeners), self._ids, large)
        found = lookup.targets or []  # of a numeric host they are known at once
        if large:
            found = [one for one in found if group.by_tcp(one)]
        return Targets(found, group.name_of(Target("TLS", host, port)), lookup.reason)

    def likely(self, uri: str) -> str:
        """`uri`, or where a request to it will probably go if it names a group."""
        named = self._named(uri)
        return (named[1].likely() or uri) if named is not None else uri


class _Search:
    """Locates all servers of a group; `done` hears once each has an answer."""

    def __init__(
        self, locator: GroupLocator, group: ServerGroup, hop: Hop, done: Located, large: bool
    ) -> None:
        self.locator = locator
        self.group = group
        self.hop = hop
        self.done = done
        self.large = large
        self.found: list[tuple[Target, ...]] = []
        self.left = 0

    def start(self, now: float) -> None:
        """Ask for all of them."""
        uris = self.group.uris(now)
        if not uris:
            reason = f"no server of the group {self.hop.host} is up"
            self.done(Targets((), self.hop.host, reason), now)
            return
        self.left = len(uris)
        self.found = [() for _ in uris]
        for at, uri in enumerate(uris):
            part = _Part(self, at, uri)
            Locator.locate(self.locator, self.wanted(uri), part.located, now, self.large)

    def wanted(self, uri: str) -> str:
        """The URI of a server as the request asks for it: sips, or a transport."""
        if self.hop.secure:
            return f"sips:{uri.removeprefix('sip:')}"
        if self.hop.transport is not None and ";transport=" not in uri:
            return f"{uri};transport={self.hop.transport}"
        return uri

    def located(self, part: "_Part", targets: Targets, now: float) -> None:
        """One server has been located."""
        for target in targets:
            self.group.located(part.uri, target)
        self.found[part.at] = tuple(targets)
        self.left -= 1
        if self.left == 0:
            ordered = dict.fromkeys([target for found in self.found for target in found])
            reason = targets.reason or "no address found"
            self.done(Targets(ordered, self.hop.host, reason, self.group), now)


class _Part:
    """One server of a search."""

    def __init__(self, search: _Search, at: int, uri: str) -> None:
        self.search = search
        self.at = at
        self.uri = uri

    def located(self, targets: Targets, now: float) -> None:
        """Its targets are known, or that it has none."""
        self.search.located(self, targets, now)
