"""Who watches whose dialogs: the event package ``dialog`` (RFC 4235), served.

What can be subscribed to is the user part of the Request-URI: a call's GUID, in capitals
or not, means the legs of that call, any other number the legs that lead to it, that it has
made, and those of callers to it. SUBSCRIBE in the dialog of a leg means its call. Changes of
the same moment go out in one NOTIFY.
"""

from typing import TYPE_CHECKING

from simulator.config_base import covers
from simulator.dialog_info import CONTENT_TYPE, DialogState, document, state_of
from simulator.headers import guid_of, user_part
from simulator.leg import Leg
from sip.errors import PeerError
from sip.message import Request, reason_phrase
from sip.usage.session import Session
from sip.usage.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.server import CallServer


class DialogEvents:
    """The package: `watched` are its watchers by resource, empty while nobody watches."""

    name = "dialog"
    content_type = CONTENT_TYPE
    default_expires = 3600  # section 3.4
    min_expires = 60
    max_expires = 86_400

    def __init__(self, server: "CallServer") -> None:
        self.server = server
        self.watched: dict[str, list[DialogWatch]] = {}
        self._sources: dict[str, int] = {}
        self._due: dict[DialogWatch, None] = {}  # in order

    @property
    def count(self) -> int:
        """How many watch."""
        return sum(self._sources.values())

    def subject(self, session: Session, request: Request, _now: float) -> "DialogWatch":
        """The resource that SUBSCRIBE names. Raises PeerError."""
        server = self.server
        config = server.config.events
        source = session.remote_address[0]
        if server.draining:
            raise PeerError(reason_phrase(503), 503)
        if not covers(config.watchers, source):
            raise PeerError("events.watchers does not allow this address", 403)
        if self.count >= config.max_subscriptions:
            raise PeerError("events.max_subscriptions is reached", 503)
        if self._sources.get(source, 0) >= config.max_per_source:
            raise PeerError("events.max_per_source is reached", 503)
        leg = session.user
        resource = leg.call.guid if isinstance(leg, Leg) else guid_of(user_part(request.uri))
        if not resource:
            raise PeerError("The Request-URI names nobody", 404)
        watch = DialogWatch(self, resource, source, session.listener.sent_by(source))
        self.watched.setdefault(resource, []).append(watch)
        self._sources[source] = self._sources.get(source, 0) + 1
        return watch

    def left(self, watch: "DialogWatch") -> None:
        """A watcher is gone."""
        self._due.pop(watch, None)
        watches = self.watched[watch.resource]
        watches.remove(watch)
        if not watches:
            del self.watched[watch.resource]
        self._sources[watch.source] -= 1
        if not self._sources[watch.source]:
            del self._sources[watch.source]

    def changed(self, leg: Leg, now: float) -> None:
        """Something may have happened to a leg; asked only while somebody watches."""
        for resource in _resources(leg):
            for watch in self.watched.get(resource, ()):
                if watch.note(leg):
                    if not self._due:
                        self.server.stack.endpoint.wheel.start(now, 0.0, self, 0)
                    self._due[watch] = None

    def timer_fired(self, _what: int, now: float) -> None:
        """Tell all that has changed since."""
        due, self._due = self._due, {}
        for watch in due:
            watch.tell(now)

    def close(self, now: float) -> None:
        """The server is about to stop: the watchers may look for another."""
        for watches in list(self.watched.values()):
            for watch in list(watches):
                if watch.subscription is not None:
                    watch.subscription.end(now, "deactivated")

    def legs_of(self, resource: str) -> "Iterator[Leg]":
        """The legs that are not over and belong to a resource."""
        call = self.server.calls.get(resource)
        for one in [call] if call is not None else self.server.calls.values():
            for leg in one.legs:
                if leg.ended == 0.0 and leg.call is one and resource in _resources(leg):
                    yield leg


def _resources(leg: Leg) -> tuple[str, ...]:
    call = leg.call
    if leg is call.legs[0]:
        return (leg.number, call.guid, call.called)
    return (leg.number, call.guid, leg.agent or "")


class DialogWatch:
    """One watcher of one resource, and what it has been told."""

    __slots__ = (
        "_changed",
        "_events",
        "_told",
        "_version",
        "entity",
        "resource",
        "source",
        "subscription",
    )

    def __init__(self, events: DialogEvents, resource: str, source: str, host: str) -> None:
        self._events = events
        self.resource = resource
        self.source = source
        self.entity = f"sip:{resource}@{host}"
        self.subscription: Subscription | None = None
        self._version = -1
        self._told: dict[Leg, DialogState] = {}
        self._changed: dict[Leg, DialogState] = {}

    def note(self, leg: Leg) -> bool:
        """Take note of what a leg is at; whether there is news to tell."""
        state = self._state_of(leg)
        before = self._changed.get(leg) or self._told.get(leg)
        if before == state:
            return False
        over = state.state == "terminated"
        if over and (before is None or before.state == "terminated"):
            return False  # never heard of, or the end has been noted with its reason
        self._changed[leg] = state
        return True

    def _state_of(self, leg: Leg) -> DialogState:
        # Of a number that was called the server is the user who is observed.
        number = self.resource
        ours = leg is leg.call.legs[0] and number == leg.call.called and number != leg.number
        return state_of(leg, ours=ours)

    def tell(self, now: float) -> None:
        """The changes, in one NOTIFY; a call that is over has nothing more to tell."""
        subscription = self.subscription
        if subscription is None:
            return
        gone = len(self.resource) == 32 and self.resource not in self._events.server.calls
        if gone and any(state.state == "terminated" for state in self._changed.values()):
            subscription.end(now, "noresource")
        else:
            subscription.changed(now)

    def news(self, subscription: Subscription) -> tuple[str, bytes]:
        """What has changed; all there is, at the beginning and when asked again."""
        self.subscription = subscription
        self._version += 1
        now = self._events.server.stack.now()
        full = not self._changed
        if full:
            self._told = {leg: self._state_of(leg) for leg in self._events.legs_of(self.resource)}
            dialogs = self._told
        else:
            dialogs, self._changed = self._changed, {}
            self._told.update(dialogs)
            for leg, state in dialogs.items():
                if state.state == "terminated":
                    del self._told[leg]
        return CONTENT_TYPE, document(self.entity, self._version, dialogs.items(), now, full=full)

    def subscription_over(self, _subscription: Subscription, _now: float) -> None:
        """Nobody watches here any more."""
        self._events.left(self)
