"""What fault rules know of the dialogs whose messages they meet: leg, call, and counters."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from simulator.fault_rules import RE_INVITE, ActiveRule, Direction, Passage
from simulator.headers import user_part
from simulator.leg import CALLER, Leg
from simulator.routing import NotRoutable
from sip.dialog import name_addr_uri
from sip.errors import SipError
from sip.message import Request, Response
from sip.timers import Timer
from sip.transaction.layer import branch_and_sent_by

if TYPE_CHECKING:
    from simulator.server import CallServer

_MOST_CALL_IDS: Final = 10_000
_MOST_KEYS: Final = 32  # of a Call-ID


class Dialog:
    """A dialog, from the INVITE that begins it, or what has a Call-ID and belongs to none."""

    __slots__ = ("application", "held", "leg", "number", "reinvite", "seen", "silent")

    def __init__(self) -> None:
        self.leg: tuple[str, ...] = ()
        self.number = ""
        self.application = ""
        self.reinvite: dict[Direction, int] = {}  # CSeq of the last one
        self.seen: dict[ActiveRule, int] = {}  # messages that matched, by rule
        self.silent: ActiveRule | None = None
        self.held: dict[Direction, Held] = {}  # what waits for the next one


class Held:
    """A message that waits for its time, when `release` is told; in `dialog` for the next one."""

    def __init__(
        self, release: Callable[["Held", float], None], passage: Passage, dialog: Dialog | None
    ) -> None:
        self._release = release
        self.passage = passage
        self.dialog = dialog
        self.timer: Timer | None = None

    def timer_fired(self, _what: int, now: float) -> None:
        """It goes on, past the rules."""
        self._release(self, now)


class _Family:
    """The dialogs with one Call-ID: by our tag, and by the INVITE that begins one, whose caller
    may use its Call-ID again (RFC 3261 section 8.1.3.5), or have it forked."""

    __slots__ = ("dialogs", "used")

    def __init__(self) -> None:
        self.used = 0.0
        self.dialogs: dict[str, Dialog] = {}


class Dialogs:
    """The dialogs of `server`, bounded in number."""

    def __init__(self, server: "CallServer") -> None:
        self._server = server
        self._endpoint = server.stack.endpoint
        self._families: OrderedDict[str, _Family] = OrderedDict()

    @property
    def call_ids(self) -> list[str]:
        """The Call-IDs that are known."""
        return list(self._families)

    def clear(self) -> None:
        """Forget them all."""
        self._families.clear()

    def of(self, passage: Passage, now: float) -> Dialog:
        """The dialog of a message."""
        message = passage.message
        family = self._family(message.call_id, now)
        tag = _our_tag(passage)
        dialog = family.dialogs.get(tag) if tag else None
        if dialog is not None:
            return dialog
        begins = "" if tag and not _answers(passage) else _beginning(message)
        dialog = family.dialogs.get(begins) if begins or not tag else None
        if dialog is None:
            dialog = Dialog()
            self._keep(family, begins or tag or "", dialog)
        if tag and begins:  # the first answer gives the dialog its tag
            self._keep(family, tag, dialog)
        return dialog

    def describe(self, passage: Passage, dialog: Dialog) -> None:
        """Say what leg and call a message belongs to, and which INVITE is within a call."""
        message, direction = passage.message, passage.direction
        tag = _our_tag(passage)
        session = self._endpoint.sessions.get(tag) if tag else None
        if session is not None and isinstance(session.user, Leg):
            leg = session.user
            dialog.leg = ("outbound" if session.outgoing else "inbound", leg.kind)
            dialog.number, dialog.application = leg.call.called, leg.call.application
        if passage.method == "INVITE":
            number = message.cseq[0]
            if isinstance(message, Response):
                asked: Direction = "out" if direction == "in" else "in"
                within = dialog.reinvite.get(asked) == number
            else:
                within = message.to_tag is not None
                if within:
                    dialog.reinvite[direction] = number
                elif direction == "in" and not dialog.leg:
                    self._expect(message, dialog)
            if within:
                passage.method = RE_INVITE
        passage.leg, passage.number = dialog.leg, dialog.number
        passage.application = dialog.application

    def _expect(self, request: Request, dialog: Dialog) -> None:
        """What the call will be that an INVITE begins."""
        dialog.leg = ("inbound", CALLER)
        dialog.number = user_part(request.uri) or user_part(name_addr_uri(request.get("to") or ""))
        with suppress(NotRoutable, SipError):
            dialog.application = self._server.plan.route_call(dialog.number).application

    def _family(self, call_id: str, now: float) -> _Family:
        families = self._families
        family = families.get(call_id)
        if family is None:
            self._forget_old(now)
            family = families[call_id] = _Family()
        families.move_to_end(call_id)
        family.used = now
        return family

    def _keep(self, family: _Family, key: str, dialog: Dialog) -> None:
        dialogs, sessions = family.dialogs, self._endpoint.sessions
        if len(dialogs) >= _MOST_KEYS:
            over = (one for one in dialogs if one not in sessions)
            del dialogs[next(over, next(iter(dialogs)))]
        dialogs[key] = dialog

    def _forget_old(self, now: float) -> None:
        """Forget the Call-ID that was not used for longest, unless its dialog may go on."""
        families, endpoint = self._families, self._endpoint
        for call_id in list(islice(families, 2)):
            family = families[call_id]
            if len(families) < _MOST_CALL_IDS and now < family.used + endpoint.timers.timeout:
                return
            if len(families) >= _MOST_CALL_IDS or not any(
                tag in endpoint.sessions for tag in family.dialogs
            ):
                del families[call_id]
            else:
                family.used = now
                families.move_to_end(call_id)


def _answers(passage: Passage) -> bool:
    return passage.direction == "out" and isinstance(passage.message, Response)


def _our_tag(passage: Passage) -> str | None:
    message = passage.message
    ours = (passage.direction == "out") == isinstance(message, Request)
    return message.from_tag if ours else message.to_tag


def _beginning(message: Request | Response) -> str:
    """What an INVITE outside of a dialog, its answers and its CANCEL have in common, which is
    no tag; nothing for other methods: those share their Call-ID."""
    number, method = message.cseq
    if method not in ("INVITE", "CANCEL"):
        return ""
    try:
        branch, _ = branch_and_sent_by(message.top_via)
    except SipError:
        branch = ""
    return f"{message.from_tag} {number} {branch}"
