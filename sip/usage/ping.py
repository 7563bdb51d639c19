"""A request that only asks whether somebody is there: the heartbeat of server groups.

Any answer says so. Max-Forwards is 0, so that no proxy passes it on: one that counts hops
answers 483 (RFC 3261 section 16.3), which is an answer like others.
"""

from typing import TYPE_CHECKING

from sip.message import Request, build_request
from sip.transaction.client import ClientUser
from sip.transport import Listener
from sip.usage.session import SDP

if TYPE_CHECKING:
    from sip.endpoint import Endpoint


class Ping:
    """One question to `uri`, by OPTIONS or what `method` says.

    It leaves by `listener` where that can reach the place. `contact` is the host in its
    Contact; empty: that of the listener.
    """

    def __init__(
        self,
        endpoint: "Endpoint",
        uri: str,
        method: str = "OPTIONS",
        listener: Listener | None = None,
        contact: str = "",
    ) -> None:
        self._endpoint = endpoint
        self._uri = uri
        self._method = method
        self._listener = listener
        self._contact = contact
        self._head: list[str] = []

    def send(self, user: ClientUser, patience: float, now: float) -> None:
        """Ask: `user` hears the answer, or that there was none after `patience` seconds.

        Raises InvalidValue when no socket can send there.
        """
        endpoint = self._endpoint
        host, usual = endpoint.way_to(self._uri)
        listener = self._listener or usual
        if (listener.transport, ":" in listener.host) != (usual.transport, ":" in usual.host):
            listener = usual
        here = listener.sent_by(host)
        call_id = f"{endpoint.ids.hex(32)}@{listener.local_host(host)}"
        self._head = [
            "Max-Forwards: 0",
            f"From: <sip:ping@{here}>;tag={endpoint.ids.tag()}",
            f"To: <{self._uri}>",
            f"Call-ID: {call_id}",
            f"CSeq: 1 {self._method}",
            f"Contact: <sip:{self._contact or here};transport={listener.transport.lower()}>",
            f"{endpoint.user_agent_line}Accept: {SDP}",
        ]
        endpoint.start_client_at(
            self._uri, self._method, self.make, listener, user, now, patience=patience
        )

    def make(self, via: str) -> Request:
        """The request for a Via value."""
        return build_request(self._method, self._uri, [f"Via: {via}", *self._head])
