"""Addresses as they stand in the configuration: where to listen, and where to send."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import quote, unquote

Transport: TypeAlias = Literal["udp", "tcp", "tls"]

TRANSPORTS: Final = ("udp", "tcp", "tls")
SIP_PORT: Final = 5060
SIPS_PORT: Final = 5061

_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([\w-]{0,61}[A-Za-z0-9_])?"
    r"(\.[A-Za-z0-9_]([\w-]{0,61}[A-Za-z0-9_])?)*\.?\Z",
    re.ASCII,
)
_SIP_URI: Final = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@;?:]+(?:;[^@?:]*)?)@)?"
    r"(?P<address>\[[^\]]*\](?::[0-9]*)?|[^;?\[\]@]*)(?P<params>(?:;[^;?@]+)*)",
    re.IGNORECASE,
)
_PARAM: Final = re.compile(
    r"[A-Za-z0-9\-_.!~*'()\[\]/:&+$%]+(=[A-Za-z0-9\-_.!~*'()\[\]/:&+$%]+)?", re.ASCII
)
_ESCAPED_CONTROL: Final = re.compile(r"%(0[0-9A-F]|1[0-9A-F]|7F)", re.IGNORECASE)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# RFC 3261 section 25.1: unreserved and user-unreserved; letters and digits always pass.
_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"


def no_zone(address: str) -> str:
    """`address`, unless it has a zone, as fe80::1%eth0 has: ValueError, with the fix, then.

    A zone means something on one machine only, so no SIP URI and no Via can hold it
    (RFC 3261 section 25.1).
    """
    if "%" in address:
        raise ValueError(
            f"{address!r} has a zone (what follows %), which means nothing to other machines; "
            "leave it out, or give an address that is not link-local"
        )
    return address


def check_network(text: str) -> str:
    """A network of IPv4 or IPv6 addresses as ``10.0.0.0/8``; ValueError otherwise."""
    no_zone(text)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{error}; a network is written 10.0.0.0/8") from None


def check_host(host: str) -> str:
    """An IPv4 address, an IPv6 address with or without brackets (returned without), or a name.

    ValueError otherwise, also for an address with a zone.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare or bare != host:
        no_zone(bare)
        try:
            return str(ipaddress.IPv6Address(bare))
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv6 address") from None
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(f"{host!r} is not an IPv4 address") from None
    if not _HOST_NAME.match(host):
        raise ValueError(f"{host!r} is not a host name or an address")
    return host


def split_address(text: str, default_port: int | None, *, any_port: bool) -> tuple[str, int | None]:
    """``HOST``, ``HOST:PORT``, ``[IPv6]`` or ``[IPv6]:PORT``; port 0 only if `any_port`."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", text, re.DOTALL)
    if not match:
        raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address goes in brackets: [::1]:5060")
    host, port = match.groups()
    if not host:
        hint = "; 0.0.0.0 or [::] listens on every interface" if any_port else ""
        raise ValueError(f"{text!r} names no host{hint}")
    host = check_host(host)
    if port is None:
        return host, default_port
    lowest = 0 if any_port else 1
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not lowest <= int(port) <= 65535:
        raise ValueError(f"port {port!r} is not a number from {lowest} to 65535")
    return host, int(port)


def join_address(host: str, port: int | None) -> str:
    """The opposite of `split_address`: brackets around an IPv6 address."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def name_server(text: str) -> str:
    """``ADDRESS:PORT`` of a DNS server, port 53 unless it says otherwise."""
    host, port = split_address(text, 53, any_port=False)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address; a DNS server needs one") from None
    return join_address(host, port)


def hep_collector(text: str) -> str:
    """``udp:HOST:PORT``, port 9060 unless it says otherwise."""
    transport, _, place = text.partition(":")
    if transport.lower() != "udp" or not place:
        raise ValueError(f"{text!r} is not udp:HOST:PORT; HEP goes by UDP")
    return f"udp:{join_address(*split_address(place, 9060, any_port=False))}"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where SIP is taken: ``udp:0.0.0.0:5060``, ``tls:[::]:5061;advertise=lab.example``.

    `host` has no brackets; `port` 0 takes any free one; `advertise` is the host to write
    in Via and Contact (None: the interface that routes to the peer).
    """

    transport: Transport
    host: str
    port: int
    advertise: str | None = None

    @classmethod
    def parse(cls, text: object) -> "Listen":
        """Read the text form (a `Listen` passes as it is); ValueError names the fault."""
        if isinstance(text, Listen):
            return text
        if not isinstance(text, str):
            raise ValueError("must be text such as udp:0.0.0.0:5060")
        address, *params = text.strip().split(";")
        transport, colon, rest = address.partition(":")
        transport = transport.lower()
        if transport not in TRANSPORTS or not colon:
            raise ValueError(f"{text!r} does not start with udp:, tcp: or tls:")
        default = SIPS_PORT if transport == "tls" else SIP_PORT
        host, port = split_address(rest, default, any_port=True)
        assert port is not None
        advertise = None
        for param in params:
            name, _, value = param.partition("=")
            if name.strip().lower() != "advertise" or advertise is not None:
                raise ValueError(f"{param!r} is not known; only one ;advertise=HOST may follow")
            advertise = check_host(value.strip())
        return cls(cast("Transport", transport), host, port, advertise)

    def __str__(self) -> str:
        suffix = f";advertise={join_address(self.advertise, None)}" if self.advertise else ""
        return f"{self.transport}:{join_address(self.host, self.port)}{suffix}"


@dataclass(frozen=True, slots=True)
class HttpListen:
    """Where REST is taken: ``https://0.0.0.0:8000``; port 0 takes any free one."""

    scheme: Literal["http", "https"]
    host: str
    port: int

    @classmethod
    def parse(cls, text: object) -> "HttpListen":
        """Read the text form (an `HttpListen` passes as it is); ValueError names the fault."""
        if isinstance(text, HttpListen):
            return text
        if not isinstance(text, str):
            raise ValueError("must be a URL such as https://0.0.0.0:8000")
        match = re.fullmatch(r"(https?)://([^/?#@]*)/?", text.strip(), re.IGNORECASE)
        if not match:
            raise ValueError(f"{text!r} is not http://HOST:PORT or https://HOST:PORT, with no path")
        scheme = "https" if match[1].lower() == "https" else "http"
        host, port = split_address(match[2], 8000 if scheme == "https" else 8080, any_port=True)
        assert port is not None
        return cls(cast('Literal["http", "https"]', scheme), host, port)

    def __str__(self) -> str:
        return f"{self.scheme}://{join_address(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class SipTarget:
    """A SIP URI without headers, taken apart as far as routing needs (RFC 3261 19.1).

    `user` stays escaped as it was written; `params` has the text from the first ``;`` on.
    """

    scheme: Literal["sip", "sips"]
    user: str
    host: str
    port: int | None
    params: str

    @classmethod
    def parse(cls, text: object) -> "SipTarget":
        """Read a ``sip:`` or ``sips:`` URI; ValueError names the fault.

        Headers (after ``?``) and escaped control characters are refused: both could carry
        header lines of their own into a request.
        """
        if isinstance(text, SipTarget):
            return text
        if not isinstance(text, str):
            raise ValueError("must be a URI such as sip:10.0.0.1:5060")
        if any(c.isspace() or not c.isprintable() or c in '<>"\\{}|^`' for c in text):
            raise ValueError(f"{text!r} has a blank, control or delimiter character in it")
        if "?" in text.rpartition("@")[2]:
            raise ValueError(f"{text!r} has headers after '?', which cannot be taken over")
        match = _SIP_URI.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not sip:HOST:PORT or sip:USER@HOST:PORT")
        if match["address"].startswith("["):
            no_zone(match["address"])
        if _ESCAPED_CONTROL.search(text) or _BAD_ESCAPE.search(text):
            raise ValueError(f"{text!r} has an escaped control character or a broken escape")
        params = match["params"]
        _check_params(text, params)
        host, port = split_address(match["address"], None, any_port=False)
        scheme = "sips" if match["scheme"].lower() == "sips" else "sip"
        user = match["user"] or ""
        return cls(
            cast('Literal["sip", "sips"]', scheme),
            quote(user, safe=_USER_SAFE + "%"),
            host,
            port,
            params,
        )

    def with_user(self, number: str) -> "SipTarget":
        """The same place with `number` as the user part, unless it has one already."""
        if self.user:
            return self
        return SipTarget(self.scheme, escape_user(number), self.host, self.port, self.params)

    @property
    def number(self) -> str:
        """The user part with its escapes undone."""
        return unquote(self.user)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}:{user}{join_address(self.host, self.port)}{self.params}"


def check_probe_url(url: str) -> str:
    """A URL that a connectivity probe can try; ValueError names the fault."""
    scheme = url.partition(":")[0].lower()
    if scheme in ("sip", "sips"):
        return str(SipTarget.parse(url))
    if re.match(r"[a-z]+://[^/?#]*@", url, re.IGNORECASE):  # not repeated: it is a secret
        raise ValueError("holds a user or password before its host: leave that out")
    match = re.fullmatch(r"(tcp|https?)://([^/?#@\s]+)((?:[/?][!-~]*)?)", url, re.IGNORECASE)
    if not match:
        raise ValueError(f"{url!r} is not sip:HOST:PORT, tcp://HOST:PORT, http:// or https://")
    _, port = split_address(match[2], None, any_port=False)
    if scheme == "tcp" and (port is None or match[3]):
        raise ValueError(f"{url!r} is not tcp://HOST:PORT")
    return url


def check_http_url(url: str) -> str:
    """The same for one of HTTP alone."""
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"{url!r} does not begin with http:// or https://")
    return check_probe_url(url)


def escape_user(number: str) -> str:
    """`number` as the user part of a SIP URI (RFC 3261 section 25.1)."""
    return number if number.isascii() and number.isalnum() else quote(number, safe=_USER_SAFE)


def _check_params(text: str, params: str) -> None:
    names: set[str] = set()
    for param in params.split(";")[1:]:
        name, _, value = param.partition("=")
        name = name.lower()
        if not _PARAM.fullmatch(param) or name in names:
            raise ValueError(f"{text!r} has a malformed or repeated parameter {param!r}")
        if name == "transport" and value.lower() not in TRANSPORTS:
            raise ValueError(f"{text!r} has transport {value!r}; udp, tcp or tls")
        names.add(name)
