"""The VXML gateway (voice browser), which also plays ringback and the error message."""

import asyncio
import logging
from collections.abc import Mapping
from typing import ClassVar, Final

from simulator.applications import Application
from simulator.lab.browser import fetch_failure, ivr_service
from simulator.lab.call import Ending, LabCall
from simulator.lab.dialogue import Dialogue
from simulator.lab.dtmf import EventReceiver, event_type, info_key
from simulator.lab.endpoint import LabEndpoint
from simulator.lab.media import Negotiation, RtpPort
from simulator.script_messages import (
    INFO_PACKAGE,
    JSON,
    RECV_INFO,
    RunScript,
    ScriptResult,
    is_package,
)
from sip.errors import PeerError, SipError
from sip.message import Request
from sip.timers import Timers
from sip.usage.invite import InviteSession

log = logging.getLogger(__name__)

_AFTER_ERROR: Final = 0.2
"""Seconds until the gateway, whose application cannot begin, hangs up."""

RINGTONE = "9191"
ANNOUNCEMENT = "919191910"
ERROR = "9292"


class VxmlCall(LabCall):
    """A call of the gateway, with the application that it runs.

    `keys` are those that the caller pressed, by INFO or RFC 4733; `prompts` what was
    played; `results` what was brought back, in their order.
    """

    def __init__(
        self, owner: "VxmlGateway", session: InviteSession, number: str, negotiation: Negotiation
    ) -> None:
        super().__init__(owner, session, number, negotiation)
        self.gateway = owner
        self.rtp: RtpPort | None = None
        self.keys = ""
        self.prompts: list[str] = []
        self.results: list[ScriptResult] = []
        self.dialogue: Dialogue | None = None
        self._events = EventReceiver()
        self._run: RunScript | None = None

    def asked(self, request: Request, now: float) -> int:
        """INFO: a key, or an application to run."""
        if request.method != "INFO":
            return 200
        if is_package(request.get("info-package") or ""):
            return self._asked_to_run(request, now)
        key = info_key(request.content_type, request.body)
        if key is not None:
            self._pressed(key, now)
        return 200

    def _asked_to_run(self, request: Request, now: float) -> int:
        try:
            run = RunScript.parse(request.body)
        except PeerError as error:
            return error.status
        steps = self.gateway.applications.get(run.application)
        if steps is None:
            return 488
        if self.dialogue is not None:
            self.dialogue.stop()
        self._run = run
        values = {**self._passed_headers(), **run.variables}
        self.dialogue = Dialogue(steps, values, self.owner.stack.endpoint.wheel, self)
        if self.established:
            self.stay()
            self.dialogue.start(now)
        return 200

    def _passed_headers(self) -> dict[str, str]:
        """The X- header fields of the INVITE."""
        lines = self.messages[0].lines()
        return {name: value for name, value in lines if name[:2].lower() == "x-"}

    def start(self, now: float) -> bool:
        """The call is up: begin what it was asked to run; False when there is nothing."""
        if self.dialogue is not None:
            self.dialogue.start(now)
        return self.dialogue is not None

    def heard_rtp(self, data: bytes) -> None:
        """A datagram of the caller: a telephone event, or speech, which is not listened to."""
        payload_type = event_type(self.negotiation.local)
        key = self._events.receive(data, payload_type) if payload_type is not None else None
        if key is not None:
            self._pressed(key, self._now())
            self._pump()
            self.changed()

    def _pressed(self, key: str, now: float) -> None:
        self.keys += key
        if self.dialogue is not None and self.ending is None:
            self.dialogue.key(key, now)

    # Where the dialogue is played.

    def spoken(self, text: str, _now: float) -> None:
        """The caller hears a prompt."""
        self.prompts.append(text)
        self.changed()

    def finished(self, dialogue: Dialogue, now: float) -> None:
        """RUN_SCRIPT_RESULT; the caller stays until the call server moves it on."""
        assert self._run is not None
        outcome = dialogue.outcome
        result = ScriptResult(
            self._run.number, outcome.values, outcome.failed, outcome.timeouts, outcome.errors
        )
        self.dialogue = None
        self.results.append(result)
        try:
            self.session.request(now, "INFO", INFO_PACKAGE, result.to_body(), JSON)
        except SipError as error:  # the call ends in this moment
            log.debug("no result: %s", error)
        self.changed()

    def finish(self, ending: Ending) -> None:
        """The call is over, and with it the application."""
        if self.dialogue is not None:
            self.dialogue.stop()
        if self.rtp is not None:
            self.rtp.close()
        super().finish(ending)


class VxmlGateway(LabEndpoint):
    """Answers any call, runs what it is asked to, and holds the call until BYE.

    Options, which may change while it runs: `seconds` is the time after which it hangs up
    where it is not asked to run an application (None: it never does); `answer_delay` the
    seconds before it answers; `refuse` a status that it refuses calls with (0: none).
    Numbers that begin with 9191 get ringback, which has no end of its own; with 919191910
    (whisper, greeting) an announcement of `announcement_seconds`; with 9292 the error
    message, of `error_seconds`. `applications` are those that it can run; with any,
    each of its calls has an RTP port of its own, where RFC 4733 events are taken.

    As a voice browser it may go further: with `browses` it asks the IVR service that App-Info
    names, and with `media_server` fetches prompts from that URL. What cannot be had ends the
    call, with a line in the log.
    """

    user_agent: ClassVar[str] = "Callsim-Lab/VXML-Gateway"

    seconds: float | None = None
    error_seconds: float | None = 2.0
    announcement_seconds: float | None = 2.0
    answer_delay: float = 0.0
    refuse: int = 0
    browses: bool = False
    media_server: str = ""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        applications: Mapping[str, Application] | None = None,
        timers: Timers | None = None,
    ) -> None:
        super().__init__(host, port, timers=timers)
        self.applications = dict(applications or {})
        self._host = host
        self._fetches: set[asyncio.Future[None]] = set()

    async def _browse(self, call: LabCall) -> None:
        """Fetch what the application needs; without it the caller is hung up on."""
        service = ivr_service(call.messages[0], call.session.remote_address[0])
        missing = ""
        if self.browses and not service.told:
            missing = f"no App-Info: IVR service asked at {service.url}, the sender of the INVITE"
        elif self.browses:
            log.info("%s: IVR service %s by App-Info", call.number, service.url)
        if not missing and self.media_server:
            missing = await fetch_failure(self.media_server)
            if not missing:
                log.info("%s: prompts from %s", call.number, self.media_server)
        if missing:
            log.warning("%s: %s", call.number, missing)
            call.hang_up_after(_AFTER_ERROR)

    def new_call(self, session: InviteSession, number: str, negotiation: Negotiation) -> VxmlCall:
        """Make the object for a call."""
        call = VxmlCall(self, session, number, negotiation)
        if self.applications and not number.startswith((RINGTONE, ERROR)):
            call.answer_lines = RECV_INFO
            try:
                call.rtp = RtpPort(self._host, call.heard_rtp)
                remote = session.remote_address[0]
                call.negotiation = self.new_negotiation(remote, call.rtp.port)
            except OSError as error:
                log.warning("no RTP port for a call, which has no keys by RFC 4733: %s", error)
        return call

    def invited(self, call: LabCall, now: float) -> None:
        """Refuse, or answer after the delay."""
        if self.refuse:
            call.reject(self.refuse)
        else:
            call.answer_after(self.answer_delay)

    def call_established(self, call: LabCall, now: float) -> None:
        """The application begins; without one the gateway hangs up in its time."""
        seconds = self.seconds
        if call.number.startswith(ANNOUNCEMENT):
            seconds = self.announcement_seconds
        elif call.number.startswith(RINGTONE):
            seconds = None
        elif call.number.startswith(ERROR):
            seconds = self.error_seconds
        elif self.browses or self.media_server:
            self._fetches.add(task := asyncio.ensure_future(self._browse(call)))
            task.add_done_callback(self._fetches.discard)
        if isinstance(call, VxmlCall) and call.start(now):
            return
        if seconds is not None:
            call.hang_up_after(seconds)
