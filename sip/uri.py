"""SIP, tel and other URIs (RFC 3261 section 19.1, RFC 3966).

All parts are kept in their escaped form, as they stand on the wire, so that
``str(parse_uri(text))`` gives `text` back (the scheme in lower case, a port without
leading zeros). A value that exists is well-formed: a constructor raises `InvalidValue`
for what no URI can hold, ``parse`` raises `ParseError` for the same in a peer's text.
Use `dataclasses.replace` to change a part; the result is checked again.
"""

import ipaddress
import re
from dataclasses import dataclass, replace

from sip.errors import InvalidValue, ParseError
from sip.grammar import (
    Params,
    check_host,
    check_int,
    check_unique,
    escape_header,
    find_param,
    format_host_port,
    format_params,
    from_peer,
    is_ipv6,
    parse_host_port,
    unescape,
)

# RFC 3261 section 25.1: unreserved and escaped, then what each part adds to them.
_PLAIN = r"A-Za-z0-9\-_.!~*'()"
_ESCAPED = r"%[0-9A-Fa-f]{2}"
_user = re.compile(rf"(?:[{_PLAIN}&=+$,;?/]|{_ESCAPED})+").fullmatch
_password = re.compile(rf"(?:[{_PLAIN}&=+$,]|{_ESCAPED})*").fullmatch
_paramchars = re.compile(rf"(?:[{_PLAIN}\[\]/:&+$]|{_ESCAPED})+").fullmatch
_hvalue = re.compile(rf"(?:[{_PLAIN}\[\]/?:+$]|{_ESCAPED})*").fullmatch

# RFC 3966 section 3: at least one digit among visual separators.
_global_number = re.compile(r"\+[\-.()]*[0-9][0-9\-.()]*").fullmatch
_local_number = re.compile(r"[\-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*").fullmatch
_SEPARATORS = str.maketrans("", "", "-.()")

_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*").fullmatch
# RFC 2396 uric with "[" and "]", and "#", which an absolute URI of a page may hold.
_opaque = re.compile(rf"(?:[{_PLAIN};/?:@&=+$,\[\]#]|{_ESCAPED})+").fullmatch

_escape = re.compile(r"%([0-9A-Fa-f]{2})")
_RESERVED = frozenset(";/?:@&=+$,%")

# A parameter that one URI has and the other has not prevents a match. `transport` is not
# in the rule's text but among its examples of URIs that do not match.
_SIGNIFICANT = frozenset({"user", "ttl", "method", "maddr", "transport"})


# The commonest form by far, for code that only wants to know that it is one, or its user.
PLAIN_SIP_URI = re.compile(
    r"sip:([A-Za-z0-9+]+)@[A-Za-z0-9.-]*[A-Za-z0-9](?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}))?"
)


@dataclass(frozen=True, slots=True)
class SipUri:
    """``sip:user:password@host:port;params?headers``, RFC 3261 section 19.1.1.

    `user`, `password`, `params` and `headers` are escaped text (`sip.grammar.escape_user`
    and its siblings make it), `host` is a name, an IPv4 address or an IPv6 address
    without brackets, `scheme` is ``sip`` or ``sips``. Raises `InvalidValue`.
    """

    user: str | None
    host: str
    port: int | None = None
    scheme: str = "sip"
    password: str | None = None
    params: Params = ()
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.scheme not in ("sip", "sips"):
            raise InvalidValue(f"URI scheme: {self.scheme!r} is not sip or sips")
        if self.user is not None and _user(self.user) is None:
            raise InvalidValue(f"URI user: {self.user!r} needs escape_user(), or None if empty")
        if self.password is not None and (self.user is None or _password(self.password) is None):
            raise InvalidValue("URI password: it needs a user and escaped text")
        check_host(self.host, "URI host")
        if self.port is not None:
            check_int(self.port, "URI port", 65535)
        if self.params:
            _check_params(self.params)
        for name, value in self.headers:
            if not name or _hvalue(name) is None or _hvalue(value) is None:
                raise InvalidValue(f"URI header: {name!r} needs escape_header() for its parts")

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        """Read a SIP or SIPS URI, RFC 3261 section 25.1; raises `ParseError`.

        No white space, angle brackets or unescaped characters outside the grammar.
        """
        scheme, colon, rest = text.partition(":")
        if not colon:
            raise ParseError("Malformed URI")
        userinfo, at, rest = rest.rpartition("@")
        user, colon, password = userinfo.partition(":")
        rest, question, header_text = rest.partition("?")
        host_port, semicolon, param_text = rest.partition(";")
        host, port = parse_host_port(host_port, "URI host")
        params = _split_params(param_text) if semicolon else ()
        headers = _split_headers(header_text) if question else ()
        return from_peer(
            lambda: cls(
                user if at else None,
                host,
                port,
                scheme.lower(),
                password if colon else None,
                params,
                headers,
            )
        )

    def __str__(self) -> str:
        userinfo = ""
        if self.user is not None:
            userinfo = self.user + ("@" if self.password is None else f":{self.password}@")
        text = f"{self.scheme}:{userinfo}{format_host_port(self.host, self.port)}"
        if self.params:
            text += format_params(self.params)
        if self.headers:
            text += "?" + "&".join([f"{name}={value}" for name, value in self.headers])
        return text

    def param(self, name: str) -> str | None:
        """The value of a URI parameter, whatever the case of its name, still escaped.

        None if it is absent, ``""`` for a flag such as ``;lr``.
        """
        return find_param(self.params, name)

    def header(self, name: str) -> str | None:
        """The unescaped value of a URI header (``?Replaces=``), None if it is absent.

        Control characters stay escaped, RFC 3261 section 19.1.5 leaves them no meaning.
        """
        name = name.lower()
        for key, value in self.headers:
            if unescape(key).lower() == name:
                return unescape(value)
        return None

    @property
    def transport(self) -> str | None:
        """The ``transport`` parameter in lower case, or None, RFC 3261 section 19.1.1."""
        value = self.param("transport")
        return value.lower() if value else None

    @property
    def is_loose_router(self) -> bool:
        """Whether the ``lr`` parameter is there, with any value, RFC 3261 section 19.1.1."""
        return self.param("lr") is not None

    @property
    def number(self) -> str:
        """The user part as a person reads it: unescaped, without ``;`` user parameters.

        ``""`` if there is no user; control characters stay escaped.
        """
        return unescape(self.user.partition(";")[0]) if self.user else ""

    def with_params(self, **params: str | None) -> "SipUri":
        """A copy with URI parameters set; None makes a flag: ``with_params(lr=None)``.

        A parameter of the same name is replaced, whatever its case. Raises `InvalidValue`.
        """
        kept = self.without_params(*params)
        return replace(self, params=kept.params + tuple(params.items()))

    def without_params(self, *names: str) -> "SipUri":
        """A copy without the named URI parameters."""
        dropped = {name.lower() for name in names}
        return replace(self, params=tuple(p for p in self.params if p[0].lower() not in dropped))

    def with_headers(self, **headers: str) -> "SipUri":
        """A copy with URI headers added; plain text, escaped here (``Replaces=...``)."""
        added = tuple((escape_header(name), escape_header(text)) for name, text in headers.items())
        return replace(self, headers=self.headers + added)

    def equivalent(self, other: "SipUri") -> bool:
        """Whether both URIs are equal by the rules of RFC 3261 section 19.1.4.

        Not transitive: parameters that only one URI has are ignored, but for user, ttl,
        method, maddr and transport. Header values are compared with their case.
        """
        return (
            self.scheme == other.scheme
            and self.port == other.port
            and _same_host(self.host, other.host)
            and _normal(self.user) == _normal(other.user)
            and _normal(self.password) == _normal(other.password)
            and _same_params(_param_table(self.params), _param_table(other.params))
            and _header_list(self.headers) == _header_list(other.headers)
        )


@dataclass(frozen=True, slots=True)
class TelUri:
    """``tel:+1-201-555-0123;ext=7``, RFC 3966 section 3.

    `subscriber` is the number as written: global (``+``) or local, which must have a
    ``phone-context`` parameter. Raises `InvalidValue`.
    """

    subscriber: str
    params: Params = ()

    def __post_init__(self) -> None:
        if self.params:
            _check_params(self.params)
        if _global_number(self.subscriber) is not None:
            return
        if _local_number(self.subscriber) is None:
            raise InvalidValue(f"tel URI number: {self.subscriber!r} is no telephone number")
        if not self.param("phone-context"):
            raise InvalidValue(
                "tel URI number: a local number needs phone-context, or begin with +"
            )

    @classmethod
    def parse(cls, text: str) -> "TelUri":
        """Read a tel URI, RFC 3966 section 3; raises `ParseError`."""
        scheme, _, rest = text.partition(":")
        if scheme.lower() != "tel":
            raise ParseError("Malformed URI scheme")
        subscriber, semicolon, params = rest.partition(";")
        return from_peer(lambda: cls(subscriber, _split_params(params) if semicolon else ()))

    def __str__(self) -> str:
        return f"tel:{self.subscriber}{format_params(self.params)}"

    def param(self, name: str) -> str | None:
        """The value of a parameter, still escaped; None if absent, ``""`` for a flag."""
        return find_param(self.params, name)

    @property
    def is_global(self) -> bool:
        """Whether the number is a global one, RFC 3966 section 5.1.4."""
        return self.subscriber[0] == "+"

    @property
    def number(self) -> str:
        """The number without visual separators (``-.()``), RFC 3966 section 5.1.1."""
        return self.subscriber.translate(_SEPARATORS)

    def equivalent(self, other: "TelUri") -> bool:
        """Whether both URIs are equal by the rules of RFC 3966 section 4."""
        return self.number.lower() == other.number.lower() and _tel_params(self) == _tel_params(
            other
        )


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of another scheme, taken as it is (``urn:service:sos``), RFC 3261 section 25.1.

    `scheme` is lower case. Raises `InvalidValue` for sip, sips and tel, which have types of
    their own, and for characters that no URI may hold unescaped.
    """

    scheme: str
    rest: str

    def __post_init__(self) -> None:
        known = self.scheme in ("sip", "sips", "tel")
        if known or self.scheme != self.scheme.lower() or _scheme(self.scheme) is None:
            raise InvalidValue(f"URI scheme: {self.scheme!r} is none that OtherUri can have")
        if _opaque(self.rest) is None:
            raise InvalidValue(f"URI: {self.rest!r} is empty or needs escaping")

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


def parse_uri(text: str) -> SipUri | TelUri | OtherUri:
    """Read any absolute URI, RFC 3261 section 25.1 (addr-spec); raises `ParseError`."""
    scheme, _, rest = text.partition(":")
    match scheme.lower():
        case "sip" | "sips":
            return SipUri.parse(text)
        case "tel":
            return TelUri.parse(text)
        case other:
            return from_peer(lambda: OtherUri(other, rest))


def _check_params(params: Params) -> None:
    for name, value in params:
        if _paramchars(name) is None or (value is not None and _paramchars(value) is None):
            raise InvalidValue(f"URI parameter: {name!r} needs escape_param() for its parts")
    check_unique(params, "URI parameter")


def _split_params(text: str) -> Params:
    pairs = [piece.partition("=") for piece in text.split(";")]
    return tuple((name, value if equals else None) for name, equals, value in pairs)


def _split_headers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [piece.partition("=") for piece in text.split("&")]
    if not all(equals for _, equals, _ in pairs):
        raise ParseError("Malformed URI header")
    return tuple((name, value) for name, _, value in pairs)


def _decode_plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    plain = "!" <= character <= "~" and character not in _RESERVED
    return character if plain else escape[0].upper()


def _normal(text: str | None) -> str | None:
    """One spelling per part: only reserved characters differ from their escapes (19.1.4)."""
    return None if text is None else _escape.sub(_decode_plain, text)


def _same_host(one: str, other: str) -> bool:
    if is_ipv6(one) and is_ipv6(other):  # RFC 5954 section 4.2: compared as 128 bits
        return ipaddress.IPv6Address(one) == ipaddress.IPv6Address(other)
    return one.lower() == other.lower()


def _param_table(params: Params) -> dict[str, str]:
    table: dict[str, str] = {}
    for name, value in params:
        key = (_normal(name) or "").lower()
        text = _normal(value) or ""
        # Methods are the one value with a case of their own (section 7.1).
        table[key] = text if key == "method" else text.lower()
    return table


def _same_params(one: dict[str, str], other: dict[str, str]) -> bool:
    in_both = one.keys() & other.keys()
    in_one = one.keys() ^ other.keys()
    return not (in_one & _SIGNIFICANT) and all(one[name] == other[name] for name in in_both)


def _header_list(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str | None]]:
    return sorted(
        [((_normal(name) or "").lower(), _normal(value) or "") for name, value in headers]
    )


def _tel_params(uri: TelUri) -> dict[str, str]:
    """Parameters for comparison; those that hold numbers lose their separators."""
    table = {name: value.lower() for name, value in _param_table(uri.params).items()}
    for name, value in table.items():
        if name == "ext" or (name == "phone-context" and value[:1] == "+"):
            table[name] = value.translate(_SEPARATORS)
    return table
