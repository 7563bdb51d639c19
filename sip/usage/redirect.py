"""3xx followed by the caller (RFC 3261 section 8.1.3.4)."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sip.errors import ParseError
from sip.grammar import find_param, q_value
from sip.message import Response
from sip.transaction.client import ClientTransaction
from sip.uri import SipUri
from sip.usage.again import Attempts, Change
from sip.values import NameAddr

if TYPE_CHECKING:
    from sip.endpoint import Endpoint

MOST_TARGETS: Final = 5
"""What one request tries at most, however many contacts there are."""

FOLLOWED: Final = (300, 301, 302)
"""305 names a proxy and 380 a service, not where the callee is."""

Resolve = Callable[[str], str | None]
"""Where to call for a contact, a URI; None: nowhere."""


class RedirectTargets:
    """Where a redirected request may still go, the best first; none twice (loops).

    `best` is the refusal to report when nothing is left.
    """

    def __init__(self, uri: str, resolve: Resolve | None) -> None:
        self.best: Response | None = None
        self._resolve = resolve
        self._waiting: list[tuple[float, str]] = []
        self._seen = {uri.lower()}
        self._tried = 0
        self._secure = uri[:5].lower() == "sips:"

    def add(self, response: Response) -> None:
        """Take the contacts of a 3xx: by q, and those of one q in their order."""
        if (response.get("expires") or "").strip(" \t") == "0":
            return
        for line in response.all("contact"):
            try:
                contacts = NameAddr.parse_many(line)
            except ParseError:
                continue
            for contact in contacts:
                uri = self._wanted(contact)
                if uri is not None:
                    self._seen.add(uri.lower())
                    self._waiting.append((_q(contact), uri))
        self._waiting.sort(key=lambda waiting: -waiting[0])

    def _wanted(self, contact: NameAddr) -> str | None:
        """The URI to call for a contact; None if it is not to be called, or not again."""
        try:
            uri = contact.address
        except ParseError:
            return None
        if find_param(contact.params, "expires") == "0" or not isinstance(uri, SipUri):
            return None
        if self._secure and uri.scheme != "sips":
            return None  # what was to go by TLS all the way does
        shown: str | None = plain(uri)
        if shown is not None and self._resolve is not None:
            shown = self._resolve(shown)
        return None if shown is None or shown.lower() in self._seen else shown

    def next(self, attempts: Attempts, response: Response | None) -> Change | None:
        """The next target after a refusal, or after none came; 6xx ends the search."""
        if response is not None:
            self.best = self.better(response)
            if response.status >= 600:
                return None
        if not self._waiting or self._tried >= MOST_TARGETS:
            return None
        self._tried += 1
        _, uri = self._waiting.pop(0)
        attempts.keyring = None  # what one peer asked for is not for another
        attempts.tries.clear()
        return Change(uri=uri, without=("route",))

    def better(self, response: Response) -> Response:
        """Of `response` and the best so far the one that tells more (section 16.7)."""
        if response.status in FOLLOWED and self.best is not None:
            return self.best
        return response if self.best is None else min(self.best, response, key=_rank)


class Redirector:
    """An amendment for `FOLLOWED`. `resolve` says where to call for a contact."""

    def __init__(self, endpoint: "Endpoint", resolve: Resolve | None = None) -> None:
        self._resolve = resolve
        endpoint.amendments |= dict.fromkeys(FOLLOWED, self.amend)

    def amend(
        self, tx: ClientTransaction, attempts: Attempts, response: Response, _now: float
    ) -> Change | None:
        """Go where the 3xx points; a request in a dialog has its peer already."""
        if tx.request.to_tag is not None:
            return None
        first = attempts.targets is None
        if attempts.targets is None:
            attempts.targets = RedirectTargets(tx.request.uri, self._resolve)
        attempts.targets.add(response)
        change = attempts.targets.next(attempts, None)
        if change is None and first:
            attempts.targets = None  # as if it had never been followed
        return change


def plain(uri: SipUri) -> str:
    """A contact as it may be called: what else its URI asks for is not its to say (19.1.5).

    Header fields and a method, that is.
    """
    params = tuple(one for one in uri.params if one[0].lower() != "method")
    return str(replace(uri, params=params, headers=()))


def _q(contact: NameAddr) -> float:
    try:
        return q_value(find_param(contact.params, "q"))
    except ParseError:
        return 0.0


def _rank(response: Response) -> tuple[int, bool]:
    """6xx, then the lowest class; of 4xx what tells how to do better comes last."""
    status = response.status
    return (0 if status >= 600 else status // 100, status in (408, 487))
