"""Headers that name another dialog: Replaces (RFC 3891) and Target-Dialog (RFC 4538)."""

import re
from dataclasses import dataclass

from sip.errors import InvalidValue, ParseError
from sip.grammar import Params, check_token, from_peer, param_text, parse_params
from sip.uri import SipUri

_call_id = re.compile(r"[^\x00-\x20\x7f;,<>\"\ud800-\udc7f\udd00-\udfff]+").fullmatch


@dataclass(frozen=True, slots=True)
class Replaces:
    """``425928@bobster.example.org;to-tag=7743;from-tag=6472``, RFC 3891 section 6.1.

    The tags are those that the receiver of the request knows: `to_tag` is its own. Raises
    `InvalidValue`.
    """

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __post_init__(self) -> None:
        if _call_id(self.call_id) is None:
            raise InvalidValue(f"Replaces: {self.call_id!r} is no Call-ID")
        check_token(self.to_tag, "Replaces to-tag")
        check_token(self.from_tag, "Replaces from-tag")

    @classmethod
    def parse(cls, text: str) -> "Replaces":
        """Read a Replaces value; raises `ParseError`, also without either tag."""
        call_id, to_tag, from_tag, params = _parts(text, "Replaces", "to-tag", "from-tag")
        early = param_text(params, "early-only") is not None
        return from_peer(lambda: cls(call_id, to_tag, from_tag, early))

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"

    def in_uri(self, uri: str) -> str:
        """`uri`, a SIP URI, with this as its URI header, for Refer-To (RFC 3891 section 4)."""
        return str(SipUri.parse(uri).with_headers(Replaces=str(self)))


def _parts(text: str, header: str, first: str, second: str) -> tuple[str, str, str, Params]:
    """A Call-ID and the two tags that must stand beside it."""
    call_id, semicolon, rest = text.strip(" \t").partition(";")
    params = parse_params(semicolon + rest, f"{header} parameters")
    names = [name.lower() for name, _ in params]
    if names.count(first) != 1 or names.count(second) != 1:
        raise ParseError(f"{header} needs {first} and {second}, once each")
    return (
        call_id.rstrip(" \t"),
        param_text(params, first) or "",
        param_text(params, second) or "",
        params,
    )


@dataclass(frozen=True, slots=True)
class TargetDialog:
    """``fa77as7@host.example.com;local-tag=kkaz-;remote-tag=6544``, RFC 4538 section 7."""

    call_id: str
    local_tag: str
    remote_tag: str

    @classmethod
    def parse(cls, text: str) -> "TargetDialog":
        """Read a Target-Dialog value; raises `ParseError`, also without either tag."""
        call_id, local, remote, _ = _parts(text, "Target-Dialog", "local-tag", "remote-tag")
        return cls(call_id, local, remote)

    def __str__(self) -> str:
        return f"{self.call_id};local-tag={self.local_tag};remote-tag={self.remote_tag}"
