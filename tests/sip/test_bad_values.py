"""A header value that cannot be read changes nothing else: who waits for a message hears of it.

Once a transaction has moved on, nothing may raise: the message would be dropped half done,
its user would wait for ever, and what was made for a request would stay in the tables.
"""

from collections.abc import Callable
from random import Random

import pytest

from sip.endpoint import Endpoint
from sip.events import Answered, Hungup, Invited, Referred, Reinvited, Requested
from sip.ids import IdSource
from sip.message import Request, parse
from sip.registrar import Registrar
from sip.registration import Registration
from sip.transport import Listener
from sip.usage.credentials import UNAUTHORIZED, Account, Accounts
from sip.usage.invite import InviteSession
from sip.usage.notifier import OutOfDialogRefer
from sip.usage.redirect import Redirector
from sip.usage.session_timer import SessionTimers
from tests.support.builders import PEER, request_text, response_text
from tests.support.network import OFFER

pytestmark = pytest.mark.thousands

PEER_URI = "sip:carol@198.51.100.9"
CONTACT = f"Contact: <{PEER_URI}>\r\n"

KEYS = (
    "Contact Record-Route Allow Supported Require Unsupported Session-Expires Min-SE RSeq RAck "
    "WWW-Authenticate Proxy-Authenticate Authentication-Info Retry-After Expires Min-Expires "
    "Refer-Sub Refer-To Referred-By Replaces Target-Dialog Event Subscription-State Accept Path "
    "Content-Type Authorization Timestamp Max-Forwards Reason"
).split()

BAD = (
    '"', ",", "a,,b", "timer, UPDATE,", "<", "", ";", "\udcff", "9" * 30, "-1", "*",
    'Digest realm="x"', '<sip:a"b@h>', "<tel:+123>", "<sip:a@198.51.100.9;maddr=z..>",
)  # fmt: skip


VALUES = [(key, value) for key in KEYS for value in BAD]


def new_endpoint() -> Endpoint:
    """One that does all it can."""
    listener = Listener("UDP", "192.0.2.1", 5060, False)
    made = Endpoint([listener], IdSource(Random(1).randbytes))
    SessionTimers(1800).serve(made)
    for option_tag in ("100rel", "norefersub", "replaces"):
        made.support(option_tag)
    accounts = Accounts([Account("", "alice", "secret", PEER[0])], made.ids)
    made.amendments |= dict.fromkeys(UNAUTHORIZED, accounts.amend)
    Redirector(made)
    Registrar(made, lambda *_: 0)
    OutOfDialogRefer(made)
    return made


def sent(endpoint: Endpoint, method: str) -> Request:
    """The last request of a method that went out."""
    messages = [parse(data) for _, _, data in endpoint.outbox]
    endpoint.outbox.clear()
    return next(m for m in messages[::-1] if isinstance(m, Request) and m.method == method)


def respond(endpoint: Endpoint, to: Request, status: int, lines: str) -> None:
    data = response_text(to, status, "c", lines)
    endpoint.receive_datagram(data, PEER, endpoint.listeners[0], 0.0)


def call(endpoint: Endpoint) -> InviteSession:
    uri = f"<{PEER_URI}>"
    return endpoint.invite(0.0, PEER_URI, from_="<sip:alice@a.example>", to=uri, body=OFFER)


def established(endpoint: Endpoint) -> InviteSession:
    session = call(endpoint)
    respond(endpoint, sent(endpoint, "INVITE"), 200, f"{CONTACT}Allow: INVITE, UPDATE\r\n")
    session.acknowledge(0.0)
    endpoint.outbox.clear()
    endpoint.events.clear()
    return session


def end(endpoint: Endpoint) -> None:
    """Whatever is left is given up or answered, and time passes."""
    for event in list(endpoint.events):
        if isinstance(event, Invited | Reinvited):
            event.session.ring(1.0, reliable=True)
            event.session.reject(1.0, 486)
        elif isinstance(event, Requested):
            event.transaction.respond(200, 1.0)
        elif isinstance(event, Referred):
            event.refer.reject(1.0, 603)
        elif isinstance(event, Hungup):
            event.session.confirm_bye(1.0)
        elif isinstance(event, Answered):
            event.session.acknowledge(1.0)
    for session in list(endpoint.sessions.values()):
        if isinstance(session, InviteSession) and session.state == 2 and not session.leaving:
            session.bye(1.0)
    for step in range(150):  # beyond the longest registration
        endpoint.handle_timers(2.0 + 50 * step)


def asking(endpoint: Endpoint, method: str) -> Request:
    """A request of ours, just sent."""
    if method == "INVITE":
        call(endpoint)
    elif method == "REGISTER":
        Registration(endpoint, f"sip:{PEER[0]}", "sip:alice@a.example").start(0.0)
    else:
        session = established(endpoint)
        verbs: dict[str, Callable[[], object]] = {
            "BYE": lambda: session.bye(0.0),
            "REFER": lambda: session.refer(0.0, "sip:dave@d.example"),
            "UPDATE": lambda: session.update(0.0),
            "re-INVITE": lambda: session.reinvite(0.0, OFFER),
        }
        verbs[method]()
    return sent(endpoint, method.removeprefix("re-"))


@pytest.mark.parametrize("method", ["INVITE", "BYE", "REFER", "UPDATE", "re-INVITE", "REGISTER"])
@pytest.mark.parametrize("status", [180, 200, 302, 401, 420, 422, 423, 503])
def test_a_response_is_heard_whatever_it_says(method: str, status: int) -> None:
    reliable = "Require: 100rel\r\nRSeq: 7\r\n" if status == 180 else ""
    for key, value in VALUES:
        endpoint = new_endpoint()
        other = CONTACT if key != "Contact" else ""
        request = asking(endpoint, method)
        respond(endpoint, request, status, f"{other}{reliable}{key}: {value}\r\n")
        assert endpoint.discarded == 0, f"{key}: {value!r}"


OUTSIDE = ("INVITE", "REGISTER", "OPTIONS", "REFER")
INSIDE = ("INVITE", "UPDATE", "BYE", "INFO", "NOTIFY", "REFER", "SUBSCRIBE", "PRACK")


@pytest.mark.parametrize(
    ("method", "inside"), [(one, False) for one in OUTSIDE] + [(one, True) for one in INSIDE]
)
def test_a_request_is_answered_and_over_whatever_it_says(method: str, *, inside: bool) -> None:
    for key, value in VALUES:
        endpoint = new_endpoint()
        headers: dict[str, str | None] = {"Session-Expires": "1800", "Supported": "timer, path"}
        if inside:
            session = established(endpoint)
            headers["To"] = f"<sip:alice@a.example>;tag={session.local_tag}"
            headers["From"] = f"<{PEER_URI}>;tag=c"
            headers["Call-ID"] = session.dialog.call_id
        if method == "REFER":
            headers["Refer-To"] = "<sip:dave@d.example>"
        headers[key] = value
        data = request_text(method, headers)
        endpoint.receive_datagram(data, PEER, endpoint.listeners[0], 0.0)
        end(endpoint)
        finals = [data for _, _, data in endpoint.outbox if b"SIP/2.0 2" <= data[:9] < b"SIP/2.0 7"]
        left = (len(endpoint.servers), len(endpoint.sessions), endpoint.wheel.running)
        assert finals, f"{key}: {value!r}"
        assert left == (0, 0, 0), f"{key}: {value!r}"
