"""Answering 401 and 407 (RFC 3261 section 22): whose password goes where.

`Accounts` holds the passwords, each for a realm and, where that is given, for one peer
only; its `amend` is the endpoint's amendment for 401 and 407. A `Keyring` keeps the
challenges of one Call-ID and signs what follows, so that one challenge serves a dialog.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sip.auth import DigestClient, Place
from sip.dialog import route_uri
from sip.errors import InvalidValue, ParseError
from sip.grammar import check_quotable
from sip.ids import IdSource
from sip.locate import hop_of_uri
from sip.message import Request, Response
from sip.transaction.client import ClientTransaction
from sip.usage.again import Attempts, Change

UNAUTHORIZED: Final = (401, 407)

_next_nonce: Final = re.compile(
    r'(?:[^"]|"[^"]*")*?\bnextnonce[ \t]*=[ \t]*"([^"\\]+)"', re.IGNORECASE
).match


@dataclass(frozen=True, slots=True)
class Account:
    """A user of a realm; the empty realm stands for any. `peer` is a host, or empty for any.

    One of the two must be given. Raises InvalidValue.
    """

    realm: str
    user: str
    password: str = field(repr=False)
    peer: str = ""

    def __post_init__(self) -> None:
        check_quotable(self.realm, "realm")
        check_quotable(self.user, "user")
        if not self.realm and not self.peer:
            raise InvalidValue("account: neither realm nor peer; a password needs one of them")


class Accounts:
    """The accounts of an endpoint: one that names the realm is used before one that does not."""

    def __init__(self, accounts: Sequence[Account], ids: IdSource) -> None:
        self._accounts = tuple(sorted(accounts, key=lambda account: not account.realm))
        self._ids = ids

    def find(self, realm: str, hosts: frozenset[str]) -> Account | None:
        """The account for `realm` as asked for at one of `hosts`; or None."""
        for account in self._accounts:
            peer = account.peer.strip("[]").lower()
            if account.realm in ("", realm) and (not peer or peer in hosts):
                return account
        return None

    def amend(
        self, tx: ClientTransaction, attempts: Attempts, response: Response, _now: float
    ) -> Change | None:
        """Learn from a 401 or 407; None when sending again cannot help."""
        keyring = attempts.keyring
        if keyring is None:
            keyring = attempts.keyring = Keyring(self, self._ids)
        keyring.hosts |= peers_of(tx)
        return Change() if keyring.challenged(tx.request, response, attempts.tries) else None


class Keyring:
    """The challenges that one Call-ID has met, and the answers for what follows.

    `hosts` are those that have challenged: an account that is for one of them may be used.
    """

    __slots__ = ("_accounts", "_client", "_realm", "hosts")

    def __init__(self, accounts: Accounts, ids: IdSource) -> None:
        self._accounts = accounts
        self._client = DigestClient(self._account, ids)
        self.hosts: frozenset[str] = frozenset()
        self._realm = ""  # that an account without one has been used for

    def _account(self, realm: str) -> tuple[str, str] | None:
        account = self._accounts.find(realm, self.hosts)
        if account is None:
            return None
        if not account.realm:
            # The first realm is the peer's own; another is of somebody behind it.
            if self._realm not in ("", realm):
                return None
            self._realm = realm
        return account.user, account.password

    def challenged(self, request: Request, response: Response, tries: dict[Place, int]) -> bool:
        """Learn from a 401 or 407; whether sending again may help."""
        return self._client.challenged(request, response, tries)

    def answered(self, response: Response) -> None:
        """A 2xx may give the nonce for the next request (sections 20.6, RFC 7616 3.5)."""
        info = response.get("authentication-info") if 200 <= response.status < 300 else None
        found = None if info is None else _next_nonce(info)
        if found is not None:
            try:
                self._client.renew(found[1])
            except InvalidValue:
                return  # it could not be written: the next request is asked again

    def lines(self, method: str, uri: str, body: bytes) -> str:
        """The header lines for one request; ACK and CANCEL take none of their own."""
        if method in ("ACK", "CANCEL"):
            return ""
        return self._client.lines(method, uri, body)


def peers_of(tx: ClientTransaction) -> frozenset[str]:
    """The hosts that a request went to, in lower case: its next hop by name, and the address.

    What names the next hop must be ours to say. In a dialog the peer has written the
    Request-URI and the routes; beyond a Route, and beside an ``maddr``, a URI may name
    anybody.
    """
    request, address = tx.request, tx.address[0]
    if request.to_tag is not None:
        return frozenset((address,))
    routes = request.values("route")
    try:
        return frozenset(
            (address, hop_of_uri(route_uri(routes[0]) if routes else request.uri).host)
        )
    except ParseError:
        return frozenset((address,))
