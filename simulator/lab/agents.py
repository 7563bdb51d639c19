"""Agents at their phones: extensions with skill groups, all on one port."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from simulator.lab.call import LabCall
from simulator.lab.endpoint import LabEndpoint
from sip.endpoint import METHODS
from sip.timers import Timers

_REFUSED: Final = re.compile(r"9([3-6][0-9]{2})", re.ASCII)
_RINGS: Final = re.compile(r"8([0-9]{2})", re.ASCII)

# Header fields that a response with this status must have (RFC 3261, RFC 4028).
_CHALLENGE: Final = 'Digest realm="lab", nonce="{nonce}", algorithm=MD5'
_REFUSAL_LINES: Final = {
    401: f"WWW-Authenticate: {_CHALLENGE}\r\n",
    405: f"Allow: {', '.join(METHODS)}\r\n",
    407: f"Proxy-Authenticate: {_CHALLENGE}\r\n",
    415: "Accept: application/sdp\r\n",
    420: "Unsupported: lab\r\n",
    421: "Require: lab\r\n",
    422: "Min-SE: 1800\r\n",
}


@dataclass(slots=True)
class Extension:
    """One phone. `answer_after` and `talk` replace those of `Agents` where set.

    `busy`: 486 to every call; `answers` False: it rings for ever. `talk` is the seconds
    after which the agent hangs up.
    """

    number: str
    skill_groups: tuple[str, ...] = ()
    busy: bool = False
    answers: bool = True
    answer_after: float | None = None
    talk: float | None = None


def default_extensions() -> list[Extension]:
    """Three agents of the skill group ``support``."""
    return [Extension(number, ("support",)) for number in ("1001", "1002", "1003")]


class Agents(LabEndpoint):
    """Phones that ring and answer; what they do depends on the number dialled.

    ======================  =============================================================
    ``9[3-6]dd``            refused with that status (``9486``: 486; 3xx with a Contact)
    ``8ss`` (three digits)  rings ``ss`` seconds, then answers
    anything else           an extension: rings `answer_after` seconds, then answers
    ======================  =============================================================

    `talk` is the seconds after which an agent hangs up (None: never), `redirect_to` the
    URI in the Contact of a 3xx (default: extension 1001 here). `prefix` are leading digits
    that the gateway in front of the phones strips; with `strict` it has no way to a number
    that is none of `extensions`: 404.
    """

    user_agent: ClassVar[str] = "Callsim-Lab/Agent-Phone"

    answer_after: float = 1.0
    talk: float | None = None
    redirect_to: str = ""
    prefix: str = ""
    strict: bool = False

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        extensions: Iterable[Extension] | None = None,
        timers: Timers | None = None,
    ) -> None:
        super().__init__(host, port, timers=timers)
        known = default_extensions() if extensions is None else extensions
        self.extensions = {extension.number: extension for extension in known}

    def extension(self, number: str) -> Extension:
        """The phone with this number; one that was not there yet is set up."""
        return self.extensions.setdefault(number, Extension(number))

    def rings(self, number: str) -> float:
        """Seconds from the INVITE to the answer: the phone's own, the number's, or all phones'."""
        phone = self.extensions.get(number)
        if phone is not None and phone.answer_after is not None:
            return phone.answer_after
        rings = _RINGS.fullmatch(number)
        return float(rings[1]) if rings else self.answer_after

    def skill_group(self, name: str) -> list[Extension]:
        """Who serves a skill group."""
        return [e for e in self.extensions.values() if name in e.skill_groups]

    def invited(self, call: LabCall, now: float) -> None:
        """Refuse, or ring and answer."""
        call.number = call.number.removeprefix(self.prefix)
        if self.strict and call.number not in self.extensions:
            call.reject(404)
            return
        if refused := _REFUSED.fullmatch(call.number):
            self._refuse(call, int(refused[1]))
            return
        phone = self.extensions.get(call.number) or Extension(call.number)
        if phone.busy:
            call.reject(486)
            return
        call.ring()
        if phone.answers or _RINGS.fullmatch(call.number):
            call.answer_after(self.rings(call.number))

    def call_established(self, call: LabCall, now: float) -> None:
        """The agent talks, then hangs up."""
        phone = self.extensions.get(call.number)
        own = phone.talk if phone is not None else None
        talk = self.talk if own is None else own
        if talk is not None:
            call.hang_up_after(talk)

    def _refuse(self, call: LabCall, status: int) -> None:
        lines = _REFUSAL_LINES.get(status, "")
        if status < 400:
            target = self.redirect_to
            if not target:
                contact = self.stack.endpoint.contact_line
                lines = contact(self.listener, call.session.remote_address[0], "1001")
            else:
                lines = f"Contact: <{target}>\r\n"
        call.reject(status, lines.replace("{nonce}", self.stack.endpoint.ids.hex(32)))
