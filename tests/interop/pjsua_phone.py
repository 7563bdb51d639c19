"""A phone made of PJSIP, in a process of its own: commands in, events out, a JSON line each.

Run by path with its settings as one JSON argument; `tests.interop.phone` holds the other
end. PJSIP has no thread of its own here: everything happens in the loop of `main`.
"""

import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any

import pjsua2 as pj

POLL_MS = 5
TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
MEDIA = {
    pj.PJSUA_CALL_MEDIA_NONE: "none",
    pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "local hold",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "remote hold",
    pj.PJSUA_CALL_MEDIA_ERROR: "error",
}
DTMF = {
    pj.PJSUA_DTMF_METHOD_RFC2833: "rtp",
    pj.PJSUA_DTMF_METHOD_SIP_INFO: "info",
}
USES = {
    "100rel": {
        "off": pj.PJSUA_100REL_NOT_USED,
        "optional": pj.PJSUA_100REL_OPTIONAL,
        "required": pj.PJSUA_100REL_MANDATORY,
    },
    "timer": {
        "off": pj.PJSUA_SIP_TIMER_INACTIVE,
        "optional": pj.PJSUA_SIP_TIMER_OPTIONAL,
        "required": pj.PJSUA_SIP_TIMER_REQUIRED,
        "always": pj.PJSUA_SIP_TIMER_ALWAYS,
    },
}

# PJSIP writes to standard output until it is told where to: that goes to standard error.
EVENTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def tell(event: str, **fields: Any) -> None:
    EVENTS.write(json.dumps({"event": event, **fields}) + "\n")
    EVENTS.flush()


class PhoneCall(pj.Call):
    """One call; calls are numbered from 1 in the order in which they come up."""

    def __init__(self, phone: "Phone", call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self.phone = phone
        self.number = phone.add(self)

    def onCallState(self, _prm: Any) -> None:
        info = self.getInfo()
        tell(
            "state",
            call=self.number,
            state=info.stateText,
            code=info.lastStatusCode,
            reason=info.lastReason,
            peer=info.remoteUri,
        )
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.phone.drop(self)

    def onCallMediaState(self, _prm: Any) -> None:
        info = self.getInfo()  # owns what is read from it
        statuses = [MEDIA[media.status] for media in info.media]
        if "active" in statuses:
            # Silence is sent all the same: there is RTP to count.
            source = self.phone.endpoint.audDevManager().getCaptureDevMedia()
            source.startTransmit(self.getAudioMedia(-1))
        tell("media", call=self.number, status=statuses[0] if statuses else "none")

    def onDtmfDigit(self, prm: Any) -> None:
        tell("dtmf", call=self.number, digit=prm.digit, method=DTMF[prm.method])

    def onCallTransferRequest(self, prm: Any) -> None:
        prm.statusCode = self.phone.settings.get("refer", 202)
        if prm.statusCode < 300:
            prm.newCall = PhoneCall(self.phone)
        tell("referred", call=self.number, to=prm.dstUri)

    def onCallTransferStatus(self, prm: Any) -> None:
        tell("transfer", call=self.number, code=prm.statusCode, final=prm.finalNotify)
        if prm.finalNotify and prm.statusCode // 100 == 2 and self.isActive():
            self.hangup(pj.CallOpParam())

    def onCallReplaceRequest(self, prm: Any) -> None:
        prm.newCall = PhoneCall(self.phone)
        tell("replacing", call=self.number)

    def onCallReplaced(self, prm: Any) -> None:
        tell("replaced", call=self.number)


class PhoneAccount(pj.Account):
    def __init__(self, phone: "Phone") -> None:
        super().__init__()
        self.phone = phone

    def onIncomingCall(self, prm: Any) -> None:
        call = PhoneCall(self.phone, prm.callId)
        tell("incoming", call=call.number, peer=call.getInfo().remoteUri)
        for status in self.phone.settings.get("answer", [180, 200]):
            self.phone.answer(call.number, status)

    def onRegState(self, prm: Any) -> None:
        tell("registration", code=prm.code, active=self.getInfo().regIsActive)


class Phone:
    """The endpoint, its one account and its calls; each public method is a command."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        self.endpoint.libInit(self._endpoint_config())
        self.transport = self._open_transport()
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        for codec in self.endpoint.codecEnum2():
            used = codec.codecId in self.settings.get("codecs", ["PCMU/8000/1"])
            self.endpoint.codecSetPriority(codec.codecId, 200 if used else 0)
        self.account = PhoneAccount(self)
        self._calls: dict[int, PhoneCall] = {}
        self._created = 0
        self._over: list[PhoneCall] = []
        self.account.create(self._account_config())

    def _endpoint_config(self) -> Any:
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "PJSUA2"
        config.medConfig.threadCnt = 0
        config.medConfig.hasIoqueue = False
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        config.logConfig.level = 4
        config.logConfig.consoleLevel = 0
        config.logConfig.filename = self.settings["log"]
        return config

    def _open_transport(self) -> int:
        config = pj.TransportConfig()
        config.boundAddress = "127.0.0.1"
        if self.settings["transport"] == "any":  # UDP and TCP on one port
            config.port = self.settings["port"]
            self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, config)
            return int(self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, config))
        if self.settings["transport"] == "tls":
            config.tlsConfig.CaListFile = self.settings["authority"]
            config.tlsConfig.certFile = self.settings["certificate"]
            config.tlsConfig.privKeyFile = self.settings["key"]
            config.tlsConfig.verifyServer = True
        return int(self.endpoint.transportCreate(TRANSPORTS[self.settings["transport"]], config))

    def _account_config(self) -> Any:
        settings = self.settings
        config = pj.AccountConfig()
        config.idUri = settings.get("uri") or f"sip:{settings['user']}@{self.address()}"
        if settings["transport"] != "any":
            config.sipConfig.transportId = self.transport
        config.natConfig.sipOutboundUse = 0
        config.natConfig.contactRewriteUse = 0
        config.natConfig.viaRewriteUse = 0
        config.natConfig.sdpNatRewriteUse = 0
        config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        config.mediaConfig.transportConfig.port = settings["rtp_port"]
        config.callConfig.prackUse = USES["100rel"][settings.get("100rel", "off")]
        config.callConfig.timerUse = USES["timer"][settings.get("timer", "off")]
        config.callConfig.timerSessExpiresSec = settings.get("session_expires", 1800)
        config.callConfig.timerMinSESec = settings.get("min_se", 90)
        if "password" in settings:
            config.sipConfig.authCreds.append(
                pj.AuthCredInfo("digest", "*", settings["user"], 0, settings["password"])
            )
        if "registrar" in settings:
            config.regConfig.registrarUri = settings["registrar"]
            config.regConfig.retryIntervalSec = 0
        if "proxy" in settings:
            config.sipConfig.proxies.append(settings["proxy"])
        return config

    def add(self, call: PhoneCall) -> int:
        self._created += 1
        self._calls[self._created] = call
        return self._created

    def drop(self, call: PhoneCall) -> None:
        """Not now: PJSIP is still in the call's own callback."""
        self._over.append(self._calls.pop(call.number))

    def address(self) -> str:
        return str(self.endpoint.transportGetInfo(self.transport).localName)

    # Commands.

    def call(self, uri: str, headers: dict[str, str] | None = None) -> int:
        options = pj.CallOpParam(True)
        for name, value in (headers or {}).items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            options.txOption.headers.append(header)
        call = PhoneCall(self)
        call.makeCall(uri, options)
        return call.number

    def answer(self, call: int, status: int = 200) -> None:
        options = pj.CallOpParam()
        options.statusCode = status
        self._calls[call].answer(options)

    def hangup(self, call: int) -> None:
        self._calls[call].hangup(pj.CallOpParam())

    def hold(self, call: int) -> None:
        self._calls[call].setHold(pj.CallOpParam())

    def resume(self, call: int) -> None:
        options = pj.CallOpParam(True)
        options.opt.flag = pj.PJSUA_CALL_UNHOLD
        self._calls[call].reinvite(options)

    def update(self, call: int) -> None:
        self._calls[call].update(pj.CallOpParam(True))

    def transfer(self, call: int, uri: str) -> None:
        self._calls[call].xfer(uri, pj.CallOpParam())

    def attend(self, call: int, other: int) -> None:
        """Transfer the far end of `call` to that of `other`."""
        self._calls[call].xferReplaces(self._calls[other], pj.CallOpParam())

    def dial(self, call: int, digits: str, method: str) -> None:
        options = pj.CallSendDtmfParam()
        options.digits = digits
        options.method = {name: code for code, name in DTMF.items()}[method]
        self._calls[call].sendDtmf(options)

    def received(self, call: int) -> int:
        """How many RTP packets have arrived."""
        return int(self._calls[call].getStreamStat(0).rtcp.rxStat.pkt)

    def unregister(self) -> None:
        self.account.setRegistration(False)

    # The loop.

    def run(self) -> None:
        tell("ready", address=self.address())
        pending = b""
        while True:
            self.endpoint.libHandleEvents(POLL_MS)
            self._over.clear()
            if not select.select([sys.stdin], [], [], 0)[0]:
                continue
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self._obey(json.loads(line))

    def _obey(self, command: dict[str, Any]) -> None:
        verb: Callable[..., Any] = getattr(self, command.pop("do"))
        try:
            tell("done", result=verb(**command))
        except pj.Error as error:
            tell("failed", why=error.info())
        except KeyError as error:
            tell("failed", why=f"there is no call {error}")

    def close(self) -> None:
        """Every Call is gone before the library is, or PJSIP asserts."""
        self.endpoint.hangupAllCalls()
        while self._calls:
            self.endpoint.libHandleEvents(POLL_MS)
        self._over.clear()
        self.account.shutdown()
        self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)


def main() -> None:
    phone = Phone(json.loads(sys.argv[1]))
    phone.run()
    phone.close()


if __name__ == "__main__":
    main()
