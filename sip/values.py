"""Values of header fields, one frozen dataclass each (RFC 3261 sections 20 and 25).

``parse`` reads one unfolded value and raises `ParseError`, ``parse_many`` a list of one
or more, separated by commas (section 7.3.1); ``str()`` writes it. Constructors raise
`InvalidValue`, so no value that exists can break the line it is written to. `params`
hold values as on the wire (`sip.grammar.quote` makes text fit), ``param(name)`` unquotes:
None if the parameter is absent, ``""`` for a flag.
"""

import re
from dataclasses import dataclass, replace

from sip.errors import InvalidValue, ParseError
from sip.grammar import (
    QUOTED,
    TOKEN,
    Params,
    check_host,
    check_int,
    check_params,
    check_quotable,
    check_token,
    format_host_port,
    format_params,
    from_peer,
    param_text,
    parse_host_port,
    parse_int,
    parse_params,
    parse_token_params,
    quote,
    safe_text,
    split_values,
    unquote,
)
from sip.uri import OtherUri, SipUri, TelUri, parse_uri

_LWS = r"[ \t]*"
_URI = r"[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20\x7f<>\"\ud800-\udc7f\udd00-\udfff]+"
_uri = re.compile(_URI).fullmatch
# display-name is tokens or a quoted string. Unquoted text with other characters is
# common, and harmless as long as it holds none that separate.
_name_addr = re.compile(
    rf'(?:{_LWS}({QUOTED}){_LWS}|([^\x00-\x08\x0a-\x1f\x7f"<>,;\\]*))<({_URI})>(.*)', re.DOTALL
).fullmatch
_addr_spec = re.compile(rf"{_LWS}([^ \t;?,<>]+)((?:[ \t;].*)?)", re.DOTALL).fullmatch
_via = re.compile(
    rf"{_LWS}SIP{_LWS}/{_LWS}2\.0{_LWS}/{_LWS}({TOKEN})[ \t]+"
    rf"(\[[^\[\]]*\]|[^:;\[\] \t]+)(?:{_LWS}:{_LWS}([0-9]+))?((?:[ \t;].*)?)",
    re.DOTALL | re.IGNORECASE,
).fullmatch
_cseq = re.compile(rf"{_LWS}([0-9]+)[ \t]+({TOKEN}){_LWS}").fullmatch
_warning = re.compile(rf"{_LWS}([0-9]{{3}})[ \t]+([^ \t\"]+)[ \t]+({QUOTED}){_LWS}").fullmatch
# The status line may be the whole body, RFC 3420 section 2; RFC 3515 wants it first.
_status_line = re.compile(
    rb"SIP/2\.0 ([1-6][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?(?:\r?\n|\Z)", re.IGNORECASE
).match

_MAX_CSEQ = 2**31 - 1
_MAX_SECONDS = 2**32 - 1


def _take(params: Params, *names: str) -> tuple[list[str | None], Params]:
    """The unquoted values of the named parameters, and the parameters left over."""
    rest = tuple(param for param in params if param[0].lower() not in names)
    return [param_text(params, name) for name in names], rest


@dataclass(frozen=True, slots=True)
class NameAddr:
    """``"Bob" <sip:bob@biloxi.com>;tag=a6c85cf``: From, To, Contact, Route, Refer-To ...

    RFC 3261 section 20.10. `uri` is text, read by `address` when asked; `display_name`
    is unquoted; `params` are header parameters. Raises `InvalidValue`.
    """

    uri: str
    display_name: str = ""
    params: Params = ()

    def __post_init__(self) -> None:
        if _uri(self.uri) is None:
            raise InvalidValue(f"address: {self.uri!r} is no URI; escape spaces, <, > and quotes")
        check_quotable(self.display_name, "display name")
        check_params(self.params, "address parameters")

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Read one name-addr or addr-spec with header parameters; raises `ParseError`.

        Without angle brackets what follows ``;`` are header parameters, and a URI with
        ``?`` or ``,`` is an error (section 20.10). ``*`` of Contact is no address.
        """
        if found := _name_addr(text):
            quoted, plain, uri, rest = found.groups()
            name = unquote(quoted) if quoted else plain.strip(" \t")
        elif found := _addr_spec(text):
            name, (uri, rest) = "", found.groups()
        else:
            raise ParseError("Malformed address")
        params = parse_params(rest, "address parameters")
        return from_peer(lambda: cls(uri, name, params))

    @classmethod
    def parse_many(cls, text: str) -> "list[NameAddr]":
        """Read a comma-separated list of at least one."""
        return [cls.parse(value) for value in split_values(text)]

    def __str__(self) -> str:
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{format_params(self.params)}"

    @property
    def address(self) -> SipUri | TelUri | OtherUri:
        """The URI, parsed now; raises `ParseError`."""
        return parse_uri(self.uri)

    @property
    def tag(self) -> str | None:
        """The ``tag`` parameter, RFC 3261 section 19.3; None if absent or empty."""
        return self.param("tag") or None

    def param(self, name: str) -> str | None:
        """A header parameter, unquoted; None if absent, ``""`` for a flag."""
        return param_text(self.params, name)

    def with_tag(self, tag: str) -> "NameAddr":
        """A copy with this ``tag`` in place of any other."""
        return replace(self, params=(*_take(self.params, "tag")[1], ("tag", tag)))


@dataclass(frozen=True, slots=True)
class Via:
    """``SIP/2.0/UDP pc33.atlanta.com:5060;branch=z9hG4bK776asdhds``, RFC 3261 section 20.42.

    `transport` is upper case, `host` a name or an address without brackets. Only SIP/2.0.
    Raises `InvalidValue`.
    """

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    def __post_init__(self) -> None:
        check_token(self.transport, "Via transport")
        if self.transport != self.transport.upper():
            raise InvalidValue(f"Via transport: {self.transport!r} must be upper case")
        check_host(self.host, "Via host")
        if self.port is not None:
            check_int(self.port, "Via port", 65535)
        check_params(self.params, "Via parameters")

    @classmethod
    def parse(cls, text: str) -> "Via":
        """Read one via-parm, with LWS where section 25.1 allows it; raises `ParseError`."""
        found = _via(text)
        if found is None:
            raise ParseError("Malformed Via")
        sent_by = found[2] if found[3] is None else f"{found[2]}:{found[3]}"
        host, port = parse_host_port(sent_by, "Via host")
        return cls(found[1].upper(), host, port, parse_params(found[4], "Via parameters"))

    @classmethod
    def parse_many(cls, text: str) -> "list[Via]":
        """Read a comma-separated list of at least one."""
        return [cls.parse(value) for value in split_values(text)]

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{format_params(self.params)}"

    @property
    def sent_by(self) -> str:
        """``host[:port]`` as it is written, section 18.1.1."""
        return format_host_port(self.host, self.port)

    @property
    def branch(self) -> str | None:
        """The ``branch`` parameter, section 8.1.1.7; None if absent or empty."""
        return self.param("branch") or None

    @property
    def received(self) -> str | None:
        """The ``received`` address without brackets (RFC 5118 section 4.5), or None."""
        value = self.param("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port in ``rport=``, RFC 3581; None if absent, a flag or no port."""
        try:
            return parse_int(self.param("rport") or "", "rport", 65535)
        except ParseError:
            return None

    @property
    def wants_rport(self) -> bool:
        """Whether ``rport`` asks for the source port, RFC 3581 section 3."""
        return self.param("rport") == ""

    def param(self, name: str) -> str | None:
        """A parameter, unquoted; None if absent, ``""`` for a flag."""
        return param_text(self.params, name)

    def stamped(self, address: str, port: int) -> "Via":
        """The top Via as the server that got it from `address` and `port` notes it.

        ``received`` if `address` is not what sent-by says or ``rport`` was asked for
        (RFC 3261 section 18.2.1, RFC 3581 section 4); a value the sender put is replaced.
        """
        kept = tuple(
            (name, str(port) if name.lower() == "rport" else value)
            for name, value in self.params
            if name.lower() != "received"
        )
        if self.host != address or self.param("rport") is not None:
            kept += (("received", address),)
        return replace(self, params=kept)


@dataclass(frozen=True, slots=True)
class CSeq:
    """``4711 INVITE``, RFC 3261 section 20.16; `number` is below 2**31 (section 8.1.1.5)."""

    number: int
    method: str

    def __post_init__(self) -> None:
        check_int(self.number, "CSeq number", _MAX_CSEQ)
        check_token(self.method, "CSeq method")

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        """Read a CSeq; a number of 2**31 or more is a `ParseError`."""
        if found := _cseq(text):
            return cls(parse_int(found[1], "CSeq number", _MAX_CSEQ), found[2])
        raise ParseError("Malformed CSeq")

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class Reason:
    """``Q.850;cause=16;text="Normal call clearing"``, RFC 3326 section 2.

    `params` are extensions. Raises `InvalidValue`.
    """

    protocol: str
    cause: int | None = None
    text: str | None = None
    params: Params = ()

    def __post_init__(self) -> None:
        check_token(self.protocol, "Reason protocol")
        if self.cause is not None:
            check_int(self.cause, "Reason cause", _MAX_CSEQ)
        if self.text is not None:
            check_quotable(self.text, "Reason text")
        check_params(self.params, "Reason parameters")

    @classmethod
    def q850(cls, cause: int, text: str | None = None) -> "Reason":
        """A Q.850 cause, 1 to 127; `text` must be safe for a header (`InvalidValue`)."""
        if not 1 <= cause <= 127:
            raise InvalidValue(f"Reason cause: Q.850 has no cause {cause}; use 1 to 127")
        return cls("Q.850", cause, None if text is None else safe_text(text, "Reason text"))

    @classmethod
    def parse(cls, value: str) -> "Reason":
        """Read one reason-value; raises `ParseError`."""
        protocol, params = parse_token_params(value, "Reason")
        (cause, text), rest = _take(params, "cause", "text")
        number = None if cause is None else parse_int(cause, "Reason cause", _MAX_CSEQ)
        return cls(protocol, number, text, rest)

    @classmethod
    def parse_many(cls, value: str) -> "list[Reason]":
        """Read a comma-separated list of at least one, e.g. a SIP and a Q.850 reason."""
        return [cls.parse(part) for part in split_values(value)]

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = "" if self.text is None else f";text={quote(self.text)}"
        return f"{self.protocol}{cause}{text}{format_params(self.params)}"


@dataclass(frozen=True, slots=True)
class EventType:
    """``refer;id=93809823``: the Event header, RFC 6665 section 8.2.1.

    `package` includes templates (``presence.winfo``) and is compared with its case.
    """

    package: str
    id: str | None = None
    params: Params = ()

    def __post_init__(self) -> None:
        check_token(self.package, "Event package")
        if self.id is not None:
            check_token(self.id, "Event id")
        check_params(self.params, "Event parameters")

    @classmethod
    def parse(cls, text: str) -> "EventType":
        """Read an Event value; raises `ParseError`."""
        package, params = parse_token_params(text, "Event")
        (id_,), rest = _take(params, "id")
        return from_peer(lambda: cls(package, id_, rest))

    def __str__(self) -> str:
        id_ = "" if self.id is None else f";id={self.id}"
        return f"{self.package}{id_}{format_params(self.params)}"

    def matches(self, other: "EventType") -> bool:
        """Same package and id, octet by octet; other parameters do not count."""
        return self.package == other.package and self.id == other.id


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """``active;expires=60``, RFC 6665 section 8.2.3; `state` is lower case."""

    state: str
    expires: int | None = None
    reason: str | None = None
    retry_after: int | None = None
    params: Params = ()

    def __post_init__(self) -> None:
        if check_token(self.state, "Subscription-State").lower() != self.state:
            raise InvalidValue(f"Subscription-State: {self.state!r} must be lower case")
        for seconds in (self.expires, self.retry_after):
            if seconds is not None:
                check_int(seconds, "Subscription-State seconds", _MAX_SECONDS)
        if self.reason is not None:
            check_token(self.reason, "Subscription-State reason")
        check_params(self.params, "Subscription-State parameters")

    @classmethod
    def parse(cls, text: str) -> "SubscriptionState":
        """Read a Subscription-State value; raises `ParseError`."""
        state, params = parse_token_params(text, "Subscription-State")
        (expires, reason, retry), rest = _take(params, "expires", "reason", "retry-after")
        lasts, pause = [
            None if value is None else parse_int(value, "Subscription-State seconds")
            for value in (expires, retry)
        ]
        return from_peer(lambda: cls(state.lower(), lasts, reason, pause, rest))

    def __str__(self) -> str:
        named = {"expires": self.expires, "reason": self.reason, "retry-after": self.retry_after}
        shown = "".join([f";{name}={v}" for name, v in named.items() if v is not None])
        return f"{self.state}{shown}{format_params(self.params)}"


@dataclass(frozen=True, slots=True)
class MediaType:
    """``application/sdp``: Content-Type, RFC 3261 section 20.15; type names in lower case."""

    type: str
    subtype: str
    params: Params = ()

    def __post_init__(self) -> None:
        for part in (self.type, self.subtype):
            if check_token(part, "media type").lower() != part:
                raise InvalidValue(f"media type: {part!r} must be lower case")
        check_params(self.params, "media type parameters")

    @classmethod
    def parse(cls, text: str) -> "MediaType":
        """Read a media-type; raises `ParseError`."""
        kind, _, rest = text.partition("/")
        subtype, params = parse_token_params(rest, "media type")
        return from_peer(lambda: cls(kind.strip(" \t").lower(), subtype.lower(), params))

    def __str__(self) -> str:
        return f"{self.essence}{format_params(self.params)}"

    @property
    def essence(self) -> str:
        """``type/subtype`` in lower case, without parameters."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        """A parameter such as ``boundary``, unquoted; None if absent."""
        return param_text(self.params, name)


@dataclass(frozen=True, slots=True)
class WarningValue:
    """``307 isi.edu "Session parameter 'foo' not understood"``, RFC 3261 section 20.43.

    `agent` is ``host[:port]`` or a pseudonym (a token). Raises `InvalidValue`.
    """

    code: int
    agent: str
    text: str

    def __post_init__(self) -> None:
        if not 100 <= self.code <= 999:
            raise InvalidValue(f"Warning code: {self.code} does not have three digits")
        try:
            parse_host_port(self.agent)
        except ParseError:
            check_token(self.agent, "Warning agent")
        check_quotable(self.text, "Warning text")

    @classmethod
    def parse(cls, text: str) -> "WarningValue":
        """Read one warning-value; raises `ParseError`."""
        found = _warning(text)
        if found is None:
            raise ParseError("Malformed Warning")
        code, agent, words = int(found[1]), found[2], unquote(found[3])
        return from_peer(lambda: cls(code, agent, words))

    @classmethod
    def parse_many(cls, text: str) -> "list[WarningValue]":
        """Read a comma-separated list of at least one."""
        return [cls.parse(value) for value in split_values(text)]

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"


def parse_sipfrag(body: bytes) -> tuple[int, str] | None:
    """Status and reason phrase at the start of a message/sipfrag body (RFC 3420, 3515 2.4.5).

    None if the body does not begin with a SIP/2.0 status line of 100 to 699.
    """
    if found := _status_line(body):
        return int(found[1]), (found[2] or b"").decode("utf-8", "surrogateescape").strip(" \t")
    return None


def sipfrag(status: int, reason: str) -> bytes:
    r"""The body of a NOTIFY of a REFER (RFC 3515 section 2.4.5): ``b"SIP/2.0 200 OK\r\n"``.

    Raises `InvalidValue` for a status that is not 100 to 699 or a reason with control
    characters.
    """
    if not 100 <= status <= 699:
        raise InvalidValue(f"sipfrag status: {status} is no SIP status; use 100 to 699")
    phrase = safe_text(reason, "sipfrag reason")
    return f"SIP/2.0 {status} {phrase}\r\n".encode("utf-8", "surrogateescape")
