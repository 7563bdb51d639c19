"""Header fields of outbound INVITEs, changed by rules of the configuration.

A call server without rules has no `HeaderRules`: that is all they cost it.
"""

import ipaddress
from typing import TYPE_CHECKING, Final

from simulator.config_base import ANY
from sip.dialog import name_addr_uri
from sip.errors import ParseError
from sip.fields import header_key
from sip.grammar import header_line
from sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulator.config_headers import HeaderRule
    from simulator.leg import Leg
    from simulator.server_groups import ServerGroups

_MOST_PAIRS: Final = 10_000  # of peers whose rules are remembered


class HeaderRules:
    """The rules, each asked for its peers once."""

    def __init__(self, rules: "tuple[HeaderRule, ...]") -> None:
        self._rules = rules
        self._chosen: dict[tuple[frozenset[str], str], tuple[HeaderRule, ...]] = {}

    def apply(self, lines: str, sources: frozenset[str], destination: str) -> str:
        """`lines` (each ends with CR LF) as the INVITE to `destination`, a host, is to have them.

        `sources` are what the caller goes by, see `names_of`.
        """
        pair = (sources, destination)
        chosen = self._chosen.get(pair)
        if chosen is None:
            if len(self._chosen) >= _MOST_PAIRS:
                self._chosen.clear()
            chosen = self._chosen[pair] = tuple(
                rule
                for rule in self._rules
                if (not rule.sources or any(_is_one(name, rule.sources) for name in sources))
                and (not rule.destinations or _is_one(destination, rule.destinations))
            )
        for rule in chosen:
            lines = _changed(lines, rule)
        return lines


def names_of(leg: "Leg", groups: "ServerGroups") -> frozenset[str]:
    """What the caller on `leg` goes by: its address, the host of its From, its server groups."""
    session = leg.session
    address = session.remote_address[0]
    names = {address}
    if host := destination_of(name_addr_uri(session.dialog.remote)):
        names.add(host)
    for name, group in groups.groups.items():
        if any(server.host == address for server in group.config.servers):
            names.add(name)
    return frozenset(names)


def destination_of(uri: str) -> str:
    """The host that a leg is sent to, which may be the name of a server group."""
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return ""
    return parsed.host if isinstance(parsed, SipUri) else ""


def _is_one(name: str, peers: "Iterable[str]") -> bool:
    """Whether a host name or an address is among these peers."""
    name = name.lower().strip("[]")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return any(
            peer in (name, ANY) or (peer[:2] == "*." and name.endswith(peer[1:])) for peer in peers
        )
    return any(
        peer in (name, ANY) or ("/" in peer and address in ipaddress.ip_network(peer))
        for peer in peers
    )


def _changed(lines: str, rule: "HeaderRule") -> str:
    drop = {header_key(name) for name in rule.drop}
    rename = {header_key(old): new for old, new in rule.rename.items()}
    kept = []
    for line in lines.split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        key = header_key(name)
        if key not in drop:
            kept.append(f"{rename.get(key, name)}:{value}\r\n")
    kept += [header_line(name, value) for name, value in rule.add.items()]
    return "".join(kept)
