"""The caller: an ingress gateway with a person behind it."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final, Literal

from simulator.lab.call import LabCall
from simulator.lab.dtmf import DTMF, DTMF_RELAY, EventSender, event_type, info_body
from simulator.lab.endpoint import LabEndpoint
from simulator.lab.media import Negotiation, rtp_address
from sip.errors import InvalidState, InvalidValue, ParseError
from sip.grammar import escape_user, format_host_port, header_line
from sip.timers import Timers
from sip.uri import SipUri
from sip.usage.invite import InviteSession
from sip.usage.refer import ReceivedRefer
from sip.values import NameAddr

ReferPolicy = Literal["follow", "stay", "survivability", "fail", "reject"]
"""What a gateway does with a REFER.

``follow``: 202, call the target, report, and BYE when that was answered. ``stay``: the
same without the BYE. ``survivability``: as with survivability.tcl success is reported at
once, whatever becomes of the target. ``fail``: 202, then report failure. ``reject``: refuse it.
"""

KeysBy = Literal["rtp", "dtmf-relay", "dtmf"]
"""How keys are sent: RFC 4733 events in RTP, or INFO of either content type."""

_CONTENT_TYPES: Final[Mapping[KeysBy, str]] = {"dtmf-relay": DTMF_RELAY, "dtmf": DTMF}
_URI: Final = re.compile(r"sips?:", re.IGNORECASE)


def guid_words(guid: str) -> str:
    """A GUID of 32 hexadecimal digits as Cisco-Guid has it: four decimals of ten digits."""
    words = (int(guid[at : at + 8], 16) for at in range(0, 32, 8))
    return "-".join(f"{word:010}" for word in words)


class CallerCall(LabCall):
    """A call of the gateway.

    `guid` is what Cisco-Guid says, as 32 hexadecimal digits. `refer_policy` is what it
    does with a REFER; then `transfer` is the call to the target.
    """

    def __init__(
        self, owner: "Caller", session: InviteSession, number: str, negotiation: Negotiation
    ) -> None:
        super().__init__(owner, session, number, negotiation)
        self.guid = ""
        self.calling_number = ""
        self.refer_policy: ReferPolicy = owner.refer_policy
        self.refer_status = owner.refer_status
        self.transfer: CallerCall | None = None
        self.referral: tuple[CallerCall, ReceivedRefer] | None = None  # what made this call
        ids = owner.stack.endpoint.ids
        self._events = EventSender(ids.below(2**32), ids.below(2**16), ids.below(2**32))

    def cancel(self) -> None:
        """Give up before the answer; a call that is answered already is hung up."""
        self.hang_up()

    async def press(
        self, keys: str, by: KeysBy | None = None, *, held: float = 0.1, gap: float = 0.1
    ) -> None:
        """Press keys, each for `held` seconds, `gap` seconds apart; returns when all are sent.

        `by` is how; left out it is RTP where that is agreed on, else application/dtmf-relay.
        Raises InvalidState when the call is not established or ends meanwhile, and
        InvalidValue for what is no key.
        """
        agreed = event_type(self.negotiation.remote)
        if by is None:
            by = "rtp" if agreed is not None else "dtmf-relay"
        for number, key in enumerate(keys):
            self.check_established("press")
            if number:
                await asyncio.sleep(gap)
                self.check_established("press")
            if by == "rtp":
                await self._press_rtp(key, held)
            else:
                await self._press_info(key, _CONTENT_TYPES[by], held)

    async def _press_rtp(self, key: str, held: float) -> None:
        target = rtp_address(self.negotiation.remote)
        payload_type = event_type(self.negotiation.remote)
        if target is None or payload_type is None:
            raise InvalidState("press: telephone-event is not agreed on; use INFO")
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for time, data in self._events.packets(key, held, payload_type, begin):
            await asyncio.sleep(max(0.0, begin + time - loop.time()))
            self.owner.sink.send(data, target)

    async def _press_info(self, key: str, content_type: str, held: float) -> None:
        body = info_body(content_type, key, round(held * 1000))
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        now = self.owner.stack.now()
        self.session.request(now, "INFO", "", body, content_type, answer)
        self.owner.stack.pump()
        status = await answer
        if status >= 300:
            raise InvalidState(f"press: INFO was answered {status}")

    def hang_up(self, cause: int = 16) -> None:
        """The caller is gone: the call ends, and one to a target that has not answered yet."""
        if self.transfer is not None and not self.transfer.established:
            self.transfer.hang_up(cause)
        super().hang_up(cause)


class Caller(LabEndpoint):
    """Places calls to `server`, a SIP URI, the way a Cisco ingress gateway does.

    `refer_policy` and `refer_status` (to refuse a REFER with, or to report as failure) hold
    for new calls. Calls that come in are answered at once.
    """

    user_agent: ClassVar[str] = "Callsim-Lab/SIPGateway"

    refer_policy: ReferPolicy = "follow"
    refer_status: int = 603

    def __init__(
        self,
        server: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        timers: Timers | None = None,
    ) -> None:
        super().__init__(host, port, timers=timers)
        self.server = server

    async def call(
        self,
        number: str,
        *,
        calling_number: str = "4085550100",
        name: str = "",
        headers: Mapping[str, str | None] | None = None,
        offer: bool = True,
    ) -> CallerCall:
        """Call a number at the server, or a whole SIP URI; returns once INVITE is sent.

        `headers` are added, replace those that a gateway sends by itself (Cisco-Guid,
        Remote-Party-ID), or remove them (None). Without `offer` the INVITE has no SDP and
        the ACK answers. Raises InvalidValue for what cannot stand in a message.
        """
        call = self._dial(self._target(number), calling_number, name, headers or {}, offer)
        self.stack.pump()
        return call

    def new_call(self, session: InviteSession, number: str, negotiation: Negotiation) -> CallerCall:
        """Make the object for a call."""
        return CallerCall(self, session, number, negotiation)

    def _target(self, number: str) -> SipUri:
        if not self.server and not _URI.match(number):
            raise InvalidValue("no server to call: set server to its SIP URI")
        try:
            if _URI.match(number):
                return SipUri.parse(number)
            return replace(SipUri.parse(self.server), user=escape_user(number) or None)
        except ParseError as error:
            raise InvalidValue(f"destination {number!r}: {error}") from None

    def _dial(
        self,
        target: SipUri,
        calling_number: str,
        name: str,
        headers: Mapping[str, str | None],
        offer: bool,
    ) -> CallerCall:
        endpoint = self.stack.endpoint
        user = escape_user(calling_number)
        host = self.listener.local_host(target.host)
        own = NameAddr(f"sip:{user}@{format_host_port(host, self.port)}", name)
        guid = endpoint.ids.hex(32).upper()
        given = {key.lower() for key in headers}
        usual = {
            "Cisco-Guid": guid_words(guid),
            "Remote-Party-ID": f"{own};party=calling;screen=yes;privacy=off",
        }
        fields = {key: text for key, text in usual.items() if key.lower() not in given}
        negotiation = self.new_negotiation(target.host)
        description = negotiation.offer() if offer else None
        session = endpoint.invite(
            self.stack.now(),
            str(target),
            from_=str(own),
            to=f"<{target}>",
            contact_user=user,
            body=description.to_bytes() if description is not None else b"",
            lines=header_lines({**fields, **headers}),
        )
        call = self.new_call(session, target.number, negotiation)
        call.invite_offer = description
        call.guid = guid if "Cisco-Guid" in fields else ""
        call.calling_number = calling_number
        self.add(call)
        return call

    # REFER, as a gateway serves it.

    def referred(self, call: LabCall, refer: ReceivedRefer, now: float) -> None:
        """Do what the call's `refer_policy` says."""
        assert isinstance(call, CallerCall)
        try:
            target = refer.target.address
        except ParseError as error:
            refer.reject(now, error.status, error.reason)
            return
        if call.refer_policy == "reject":
            refer.reject(now, call.refer_status)
        elif not isinstance(target, SipUri):
            refer.reject(now, 416)
        else:
            refer.accept(now)
            if call.refer_policy == "fail":
                refer.notify(now, call.refer_status)
            else:
                self._follow(call, refer, target, now)

    def _follow(self, call: CallerCall, refer: ReceivedRefer, target: SipUri, now: float) -> None:
        """Call the target of the REFER; what becomes of it is told by NOTIFY."""
        referred_by = refer.request.get("referred-by")
        headers = {"Referred-By": referred_by} if referred_by else {}
        if call.guid:
            headers["Cisco-Guid"] = guid_words(call.guid)
        uri = replace(target.without_params("method"), headers=())
        try:
            transfer = self._dial(uri, call.calling_number, "", headers, offer=True)
        except InvalidValue:
            refer.notify(now, 503)
            return
        transfer.guid = call.guid or transfer.guid
        call.transfer = transfer
        if call.refer_policy == "survivability":
            refer.notify(now, 200)
        else:
            transfer.referral = (call, refer)

    def call_established(self, call: LabCall, now: float) -> None:
        """The target of a REFER has answered: tell the referrer, and leave it."""
        assert isinstance(call, CallerCall)
        if call.referral is not None:
            referrer, refer = call.referral
            call.referral = None
            with contextlib.suppress(InvalidState):  # it refused an earlier NOTIFY
                refer.notify(now, 200)
            if referrer.refer_policy == "follow":
                referrer.hang_up()

    def call_ended(self, call: LabCall) -> None:
        """The target of a REFER has not answered: the call goes on with the referrer."""
        assert isinstance(call, CallerCall)
        if call.referral is not None and call.ending is not None:
            _, refer = call.referral
            call.referral = None
            with contextlib.suppress(InvalidState):
                refer.notify(self.stack.now(), call.ending.status, call.ending.reason)
        super().call_ended(call)


def header_lines(headers: Mapping[str, str | None]) -> str:
    """Header fields as lines; raises InvalidValue for what would break out of its line."""
    return "".join([header_line(name, text) for name, text in headers.items() if text is not None])
