"""Digest authentication (RFC 3261 section 22, with RFC 7616 and RFC 8760), both roles.

`Challenge` and `Credentials` are the values of the four header fields. `DigestClient`
answers challenges, `DigestServer` makes them and checks the answers. Neither has a clock
or randomness of its own. Passwords and what could be guessed back to them (H(A1), the
response) stand in no ``repr`` and in no error.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sip.errors import InvalidValue, ParseError
from sip.grammar import (
    QUOTED,
    TOKEN,
    check_int,
    check_quotable,
    check_token,
    from_peer,
    quote,
    split_values,
    unquote,
)
from sip.ids import IdSource
from sip.message import Request, Response

Users = Mapping[str, tuple[str, str]] | Callable[[str], tuple[str, str] | None]
"""User name and password for a realm; a function may serve any realm."""

Place = tuple[str, str]
"""The header field that carries credentials, and their realm."""

_HASHES: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_HERE: Final = [n for n, h in _HASHES.items() if h in hashlib.algorithms_available]
ALGORITHMS: Final = tuple(name + form for name in _HERE for form in ("", "-sess"))
"""What can be computed here; SHA-512/256 comes with OpenSSL only."""

QOPS: Final = ("auth", "auth-int")

_SPELLINGS: Final = {name.upper(): name for name in ALGORITHMS}
_MOST_REALMS: Final = 8  # asked by one peer: a longer chain of proxies is a loop or an attack

_digest = re.compile(r"[ \t]*Digest[ \t]+(.+)", re.IGNORECASE | re.DOTALL).fullmatch
_auth_param = re.compile(rf"({TOKEN})[ \t]*=[ \t]*({QUOTED}|{TOKEN})").fullmatch
_nonce_count = re.compile("[0-9a-f]{8}").fullmatch
_hexadecimal = re.compile("[0-9A-Fa-f]*").fullmatch
_own_nonce = re.compile("[0-9a-f]{28}([0-9a-f]{32})").fullmatch

# Header field that asks: the one that answers (sections 22.2 and 22.3).
_ANSWERED_BY: Final = {
    "WWW-Authenticate": "Authorization",
    "Proxy-Authenticate": "Proxy-Authorization",
}


def is_digest(text: str) -> bool:
    """Whether a challenge or credentials are of the Digest scheme; others are ignored."""
    return _digest(text) is not None


def _read(text: str, *required: str) -> dict[str, str]:
    """The auth-params by their names in lower case, unquoted; MD5 stands for no algorithm."""
    values: dict[str, str] = {}
    found = _digest(text)
    for part in split_values(found[1]) if found else ():
        param = _auth_param(part)
        if param is None or param[1].lower() in values:
            raise ParseError("Malformed digest parameter")
        values[param[1].lower()] = unquote(param[2]) if param[2][0] == '"' else param[2]
    if not values.keys() >= set(required):
        raise ParseError("Malformed digest: a parameter is missing")
    algorithm = values.setdefault("algorithm", "MD5")
    values["algorithm"] = _SPELLINGS.get(algorithm.upper(), algorithm)
    return values


def _write(quoted: Mapping[str, str | None], plain: Mapping[str, str | None]) -> str:
    """Digest and its parameters, None left out; raises `InvalidValue` for what cannot stand."""
    shown = [f"{k}={quote(v)}" for k, v in quoted.items() if v is not None]
    shown += [f"{k}={check_token(v, f'digest {k}')}" for k, v in plain.items() if v is not None]
    return f"Digest {', '.join(shown)}"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW-Authenticate or Proxy-Authenticate value, RFC 3261 sections 20.27 and 20.44.

    Written as RFC 7616 section 3.3 wants it: realm, domain, nonce, opaque and qop are
    quoted, stale and algorithm are not; read either way, and what is unknown is left
    out. No `qop` is the form of RFC 2069. Raises `InvalidValue`.
    """

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False
    domain: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = str(self)  # it can be written
        for qop in self.qop:
            check_token(qop, "digest qop")
        if any(uri.split() != [uri] for uri in self.domain):
            raise InvalidValue("digest domain: a URI is empty or holds a space")

    @classmethod
    def parse(cls, text: str) -> "Challenge":
        """Read one challenge; raises `ParseError`, also for a scheme that is not Digest."""
        v = {"domain": "", **_read(text, "realm", "nonce")}
        qop = tuple(split_values(v["qop"].lower())) if v.get("qop") else ()
        rest = v.get("opaque"), v.get("stale", "").lower() == "true", tuple(v["domain"].split())
        return from_peer(lambda: cls(v["realm"], v["nonce"], v["algorithm"], qop, *rest))

    def __str__(self) -> str:
        quoted = {"realm": self.realm, "nonce": self.nonce, "opaque": self.opaque}
        lists = {"qop": ",".join(self.qop) or None, "domain": " ".join(self.domain) or None}
        stale = "true" if self.stale else None
        return _write(quoted | lists, {"stale": stale, "algorithm": self.algorithm})


@dataclass(frozen=True, slots=True)
class Credentials:
    """An Authorization or Proxy-Authorization value, RFC 3261 sections 20.7 and 20.28.

    Written as RFC 7616 section 3.4 wants it: algorithm, qop and nc are not quoted, the
    others are; read either way, and what is unknown is left out. `nc` is 1 or more; it
    and `cnonce` come with `qop`. Raises `InvalidValue`.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str = "MD5"
    qop: str | None = None
    nc: int | None = None
    cnonce: str | None = field(default=None, repr=False)
    opaque: str | None = None

    def __post_init__(self) -> None:
        _ = str(self)  # it can be written
        if _hexadecimal(self.response) is None:
            raise InvalidValue("digest response: it is not hexadecimal")
        if self.qop is not None and (self.cnonce is None or self.nc is None):
            raise InvalidValue("digest qop: it needs cnonce and nc")
        if self.nc is not None:
            check_int(self.nc - 1, "digest nc", 2**32 - 2)

    @classmethod
    def parse(cls, text: str) -> "Credentials":
        """Read credentials; raises `ParseError`, also for a scheme that is not Digest."""
        v = _read(text, "username", "realm", "nonce", "uri", "response")
        if "nc" in v and _nonce_count(v["nc"]) is None:
            raise ParseError("Malformed digest nc")
        nc = int(v["nc"], 16) if "nc" in v else None
        qop = v["qop"].lower() if "qop" in v else None
        first = v["username"], v["realm"], v["nonce"], v["uri"], v["response"], v["algorithm"]
        return from_peer(lambda: cls(*first, qop, nc, v.get("cnonce"), v.get("opaque")))

    def __str__(self) -> str:
        names = ("username", "realm", "nonce", "uri", "response", "cnonce", "opaque")
        quoted = {name: getattr(self, name) for name in names}
        nc = None if self.nc is None else f"{self.nc:08x}"
        return _write(quoted, {"algorithm": self.algorithm, "qop": self.qop, "nc": nc})


# The computation (RFC 7616 section 3.4).


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        pass  # this error holds the text, which may be a password: it may not be chained
    raise InvalidValue("digest: a lone surrogate has no UTF-8 form; remove it")


def _hash(algorithm: str, data: bytes) -> str:
    return hashlib.new(_HASHES[algorithm.removesuffix("-sess")], data).hexdigest()


def make_ha1(algorithm: str, user: str, realm: str, password: str) -> str:
    """H(user:realm:password): all that a digest takes of the password."""
    return _hash(algorithm, _octets(f"{user}:{realm}:{password}"))


def digest(credentials: Credentials, ha1: str, method: str, body: bytes = b"") -> str:
    """The response that belongs to `credentials`, whose own is ignored (section 3.4.1).

    Method and digest-uri, for ``auth-int`` also the hash of the body, are covered; an
    empty body has the hash of the empty string (RFC 8760 section 2.6).
    """
    c = credentials
    a2 = f"{method}:{c.uri}"
    if c.qop == "auth-int":
        a2 += f":{_hash(c.algorithm, body)}"
    if c.algorithm.endswith("-sess"):
        ha1 = _hash(c.algorithm, _octets(f"{ha1}:{c.nonce}:{c.cnonce or ''}"))
    nonce = c.nonce if c.qop is None else f"{c.nonce}:{c.nc or 0:08x}:{c.cnonce}:{c.qop}"
    return _hash(c.algorithm, _octets(f"{ha1}:{nonce}:{_hash(c.algorithm, _octets(a2))}"))


@dataclass(slots=True, repr=False)
class _Held:
    """A challenge that we can answer, again and again while its nonce is good."""

    challenge: Challenge
    qop: str | None
    user: str
    ha1: str
    cnonce: str
    count: int = 0


class DigestClient:
    """Answers challenges for one Call-ID: its nonces may go no further (section 22.3).

    Only a client for one's own outbound proxy or registrar may serve several calls.
    After a 401 or 407 `challenged` says whether to send the request again; `lines` gives
    the credentials for that and, while their nonces last, for all requests that follow.
    `integrity` prefers ``auth-int`` where both are offered: it breaks behind proxies that
    change bodies.
    """

    def __init__(self, users: Users, ids: IdSource, *, integrity: bool = False) -> None:
        self._account = users.get if isinstance(users, Mapping) else users
        self._ids = ids
        self._qops = QOPS[::-1] if integrity else QOPS
        self._held: dict[Place, _Held] = {}

    def challenged(self, request: Request, response: Response, tries: dict[Place, int]) -> bool:
        """Learn from the 401 or 407 to `request`; whether sending it again may help.

        `tries` belongs to the request: empty at first, the same for each repetition. A
        realm is answered once, and once more when it calls the nonce stale; the same
        nonce again, or no account, is the end (section 22.1). Of several realms those
        are answered that can be (section 22.3). Malformed challenges count as none.
        """
        if response.status not in (401, 407):
            return False
        again = False
        for place, challenge in self._choose(response).items():
            times = tries.get(place, 0)
            sent = f" realm={quote(challenge.realm)}, nonce={quote(challenge.nonce)},"
            repeated = any(sent in text for text in request.all(place[0].lower()))
            full = times == 0 and len(tries) >= _MOST_REALMS
            over = repeated or full or times > challenge.stale
            account = None if over else self._account(place[1])
            if account is None:
                self._held.pop(place, None)
            else:
                tries[place] = times + 1
                self._hold(place, challenge, account)
                again = True
        return again

    def lines(self, method: str, uri: str, body: bytes = b"") -> str:
        """Header lines for one request to the Request-URI `uri`; each call counts nc up.

        Empty before the first challenge. CANCEL takes none, and the ACK of a 2xx those
        of its INVITE as they are (section 22.1). Raises `InvalidValue`.
        """
        held = self._held.items()
        return "".join([f"{name}: {_sign(h, method, uri, body)}\r\n" for (name, _), h in held])

    def renew(self, nonce: str) -> None:
        """Use the nonce that the server, if only one was met, gives for what follows (20.6)."""
        met = [self._held[place] for place in self._held if place[0] == "Authorization"]
        for held in met if len(met) == 1 else ():
            held.challenge = replace(held.challenge, nonce=nonce)
            held.cnonce, held.count = self._ids.hex(32), 0

    def _choose(self, response: Response) -> dict[Place, Challenge]:
        """One challenge per realm: the topmost (RFC 8760 section 2.4), but MD5 comes last."""
        chosen: dict[Place, Challenge] = {}
        for asking, answering in _ANSWERED_BY.items():
            for text in response.all(asking.lower()):
                try:
                    challenge = Challenge.parse(text)
                except ParseError:
                    continue
                place = answering, challenge.realm
                rank = self._rank(challenge)
                if rank > (self._rank(chosen[place]) if place in chosen else 0):
                    chosen[place] = challenge
        return chosen

    def _rank(self, challenge: Challenge) -> int:
        """0 for what we cannot answer; -sess needs a cnonce, which RFC 2069 lacks."""
        algorithm = challenge.algorithm
        usable = set(challenge.qop) & set(QOPS) if challenge.qop else algorithm[-5:] != "-sess"
        if algorithm not in ALGORITHMS or not usable:
            return 0
        return 1 if algorithm.startswith("MD5") else 2

    def _hold(self, place: Place, challenge: Challenge, account: tuple[str, str]) -> None:
        held = self._held.get(place)
        if held is not None and held.challenge == challenge:
            return  # another request met the same nonce first: go on counting
        if held is None and len(self._held) >= _MOST_REALMS:
            del self._held[next(iter(self._held))]
        user, password = account
        ha1 = make_ha1(challenge.algorithm, user, challenge.realm, password)
        qop = next((qop for qop in self._qops if qop in challenge.qop), None)
        # One cnonce per nonce: then A1 of -sess is the same however a server reads it.
        self._held[place] = _Held(challenge, qop, user, ha1, self._ids.hex(32))


def _sign(held: _Held, method: str, uri: str, body: bytes) -> Credentials:
    held.count += 1
    c = held.challenge
    unsigned = Credentials(held.user, c.realm, c.nonce, uri, "", c.algorithm, opaque=c.opaque)
    if held.qop is not None:
        unsigned = replace(unsigned, qop=held.qop, nc=held.count, cnonce=held.cnonce)
    return replace(unsigned, response=digest(unsigned, held.ha1, method, body))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who sent the request: `user`, or None, then `status` and `lines` answer it.

    401 or 407 comes with the challenges; `stale`: the password was right. 403 is an unknown
    user or a wrong password; `heard`: over a nonce of ours, so its sender hears us there.
    """

    user: str | None
    status: int = 200
    lines: str = ""
    stale: bool = False
    heard: bool = False


class DigestServer:
    """Challenges requests and verifies their credentials; not for ACK and CANCEL (22.1).

    `secret` is made anew for each process (``os.urandom(32)``): the counts that refuse a
    replay do not outlive it. `lookup` gives a user's password, `lifetime` is that of a
    nonce in seconds, `algorithms` are offered in this order. Without `qops` a nonce is good
    for one request. `proxy`: 407 instead of 401. `same_uri` refuses a digest-uri that is
    not the Request-URI, which proxies may have changed (section 22.4).
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        lookup: Callable[[str], str | None],
        ids: IdSource,
        lifetime: float = 300.0,
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        qops: Sequence[str] = ("auth",),
        proxy: bool = False,
        same_uri: bool = False,
        most_nonces: int = 10_000,
    ) -> None:
        check_quotable(realm, "realm")
        if len(secret) < 16:
            raise InvalidValue("secret: too short; use 16 random octets or more")
        if not algorithms or set(algorithms) - set(ALGORITHMS):
            raise InvalidValue(f"algorithms: {algorithms!r}; use some of {', '.join(ALGORITHMS)}")
        if set(qops) - set(QOPS):
            raise InvalidValue(f"qops: {qops!r}; use auth, auth-int, both or none")
        self.realm = realm
        self._secret = secret
        self._lookup = lookup
        self._ids = ids
        self._lifetime = int(lifetime * 1000)
        self._algorithms = tuple(algorithms)
        self._qops = tuple(qops)
        self._status = 407 if proxy else 401
        self._asks, self._answers = list(_ANSWERED_BY.items())[proxy]
        self._same_uri = same_uri
        self._most = most_nonces
        self._counts: dict[str, int] = {}  # highest nc seen, the nonce used last at the end
        self._floor = -1  # nonces this old that are not in the table may have been in it

    def challenge(self, now: float, source: str = "", *, stale: bool = False) -> Verdict:
        """A new nonce, in one challenge per algorithm (RFC 8760 section 2.3).

        `source`, such as the peer's IP address, binds the nonce to who asked for it.
        """
        start = f"{int(now * 1000):012x}{self._ids.hex(16)}"
        nonce = start + self._mac(f"nonce {source} {start}")
        made = [Challenge(self.realm, nonce, a, self._qops, None, stale) for a in self._algorithms]
        lines = "".join([f"{self._asks}: {challenge}\r\n" for challenge in made])
        return Verdict(None, self._status, lines, stale)

    def verify(self, request: Request, now: float, source: str = "") -> Verdict:
        """Who sent `request`; credentials count once. Malformed ones raise `ParseError`.

        A wrong nonce with the right password is stale, whether it is old, used, another
        source's or no nonce of ours (RFC 7616 section 3.3).
        """
        given = self._credentials(request)
        offered = self._qops or (None,)
        if not given or given.algorithm not in self._algorithms or given.qop not in offered:
            return self.challenge(now, source)
        password = self._lookup(given.username)
        tried = self._mac("nobody") if password is None else password  # it takes as long
        ha1 = make_ha1(given.algorithm, given.username, self.realm, tried)
        expected = digest(given, ha1, request.method, request.body)
        right = hmac.compare_digest(expected, given.response.lower()) and password is not None
        if not right or (self._same_uri and given.uri != request.uri):
            return Verdict(None, 403, heard=self._is_ours(given.nonce, now, source))
        if not self._is_ours(given.nonce, now, source) or not self._count(given):
            return self.challenge(now, source, stale=True)
        return Verdict(given.username)

    def _credentials(self, request: Request) -> Credentials | None:
        """Those for our realm; others are for proxies elsewhere (section 22.3)."""
        values = [Credentials.parse(v) for v in request.all(self._answers.lower()) if is_digest(v)]
        return next((value for value in values if value.realm == self.realm), None)

    def _mac(self, text: str) -> str:
        data = _octets(f"{self.realm}\n{text}")
        return hmac.new(self._secret, data, "sha256").hexdigest()[:32]

    def _is_ours(self, nonce: str, now: float, source: str) -> bool:
        """Whether we made this nonce for `source`, not too long ago."""
        found = _own_nonce(nonce)
        if found is None:
            return False
        age = int(now * 1000) - _issued(nonce)
        mac = self._mac(f"nonce {source} {nonce[:28]}")
        return hmac.compare_digest(mac, found[1]) and 0 <= age <= self._lifetime

    def _count(self, given: Credentials) -> bool:
        """Whether nc grows (RFC 7616 section 3.4). Only right credentials come this far."""
        nonce, nc = given.nonce, given.nc if given.qop and given.nc else 1
        last = self._counts.pop(nonce, 0)
        if last == 0 and _issued(nonce) <= self._floor:
            return False
        self._counts[nonce] = max(nc, last)
        if len(self._counts) > self._most:
            oldest = next(iter(self._counts))
            del self._counts[oldest]
            self._floor = max(self._floor, _issued(oldest))
        return nc > last


def _issued(nonce: str) -> int:
    return int(nonce[:12], 16)
