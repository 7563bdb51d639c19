"""The stack sends no text that would make another message of the one it is for."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.endpoint import Endpoint
from sip.errors import InvalidValue, SipError
from sip.events import Invited, Progressed, Referred
from sip.message import Response, build_request, parse
from sip.registration import Registration
from sip.replaces import Replaces
from sip.usage.invite import InviteSession
from sip.usage.subscriber import subscribe, subscribe_in
from sip.values import EventType, NameAddr, Reason, WarningValue, sipfrag
from tests.sip.usage.calls import SOON, established, ringing
from tests.support.builders import PEER, request
from tests.support.injection import CONTROLS, INJECTIONS, SURROGATES, placed, shapes
from tests.support.network import Network, Party

BREAKS = ["\r", "\n", "\0", "\ud800", "\udfff", *INJECTIONS]
"""What no value may hold that goes into a line as it is."""

LINES = [
    "X-A: 1",
    "X-A: 1\n",
    "X-A: a\rb\r\n",
    "X-A: a\nb\r\n",
    "X-A: 1\r\n\r\n",
    "X-A: 1\r\n\r\nv=0\r\n",
    "\r\n",
    " X-A: 1\r\n",
    "X-A: \ud800\r\n",
]
"""What are no header lines."""

Verb = Callable[[Endpoint, float, str], object]


def _invite(endpoint: Endpoint, now: float, **texts: str) -> object:
    given = {"from_": "<sip:a@b>", "to": "<sip:c@d>", **texts}
    return endpoint.invite(now, "sip:192.0.2.2", **given)  # type: ignore[arg-type]


VERBS: dict[str, Verb] = {
    "invite from": lambda e, now, t: _invite(e, now, from_=f"<sip:a{t}@b>"),
    "invite to": lambda e, now, t: _invite(e, now, to=f"<sip:a{t}@b>"),
    "invite call-id": lambda e, now, t: _invite(e, now, call_id=f"a{t}"),
    "invite contact": lambda e, now, t: _invite(e, now, contact_user=f"a{t}"),
    "invite uri": lambda e, now, t: e.invite(
        now, f"sip:a{t}@192.0.2.2", from_="<sip:a@b>", to="<sip:c@d>"
    ),
    "invite route": lambda e, now, t: e.invite(
        now,
        "sip:192.0.2.2",
        from_="<sip:a@b>",
        to="<sip:c@d>",
        routes=(f"<sip:a{t}@192.0.2.2;lr>",),
    ),
    "options from": lambda e, now, t: e.options(
        now, "sip:192.0.2.2", from_=f"<sip:a{t}@b>", context=None
    ),
    "options uri": lambda e, now, t: e.options(
        now, f"sip:{t}@192.0.2.2", from_="<sip:a@b>", context=None
    ),
    "subscribe": lambda e, now, t: subscribe(
        e, now, "sip:192.0.2.2", EventType("dialog"), from_=f"<sip:{t}@b>", to="<sip:a@b>"
    ),
    "register": lambda e, _now, t: Registration(e, "sip:192.0.2.2", f"sip:a{t}@b"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("bad", BREAKS, ids=ascii)
def test_a_value_that_breaks_its_line(alice: Party, bob: Party, verb: str, bad: str) -> None:
    for text in placed("text", bad):
        with pytest.raises(InvalidValue):
            VERBS[verb](alice.endpoint, alice.now, text)
    alice.network.run(SOON)
    assert alice.network.log == []
    assert alice.leftovers() == {}


@pytest.mark.parametrize("lines", LINES, ids=ascii)
def test_lines_that_are_none(alice: Party, bob: Party, lines: str) -> None:
    """Nothing is sent, and all is as it was: the verb may be tried again."""
    network = alice.network
    with pytest.raises(InvalidValue):
        alice.call(bob, lines=lines)
    with pytest.raises(InvalidValue):
        subscribe(
            alice.endpoint, alice.now, bob.uri, EventType("dialog"),
            from_="<sip:a@b>", to="<sip:a@b>", lines=lines,
        )  # fmt: skip
    assert alice.leftovers() == {}
    session = alice.call(bob)
    network.run(SOON)
    peer = bob.take(Invited).session
    verbs: list[Callable[[], object]] = [
        lambda: peer.ring(bob.now, lines=lines),
        lambda: peer.answer(bob.now, lines=lines),
        lambda: peer.reject(bob.now, 486, lines=lines),
    ]
    for verb in verbs:
        with pytest.raises(InvalidValue):
            verb()
    peer.ring(bob.now)
    peer.reject(bob.now, 486)
    network.run(SOON)
    assert [packet.summary for packet in network.log] == [
        "INVITE", "100 INVITE", "180 INVITE", "486 INVITE", "ACK",
    ]  # fmt: skip
    session, peer = established(alice, bob)
    verbs = [
        lambda: session.request(alice.now, "INFO", lines),
        lambda: session.update(alice.now, b"", lines),
        lambda: session.refer(alice.now, "sip:carol@192.0.2.9", lines),
    ]
    for verb in verbs:
        with pytest.raises(InvalidValue):
            verb()
    assert session.refers is None
    assert network.log == []


@pytest.mark.parametrize("lines", LINES, ids=ascii)
def test_lines_of_a_farewell(alice: Party, bob: Party, lines: str) -> None:
    """All is as it was: the verb may be tried again."""
    network = alice.network
    session, _ = ringing(alice, bob)
    with pytest.raises(InvalidValue):
        session.cancel(alice.now, lines)
    session.cancel(alice.now)
    network.run(SOON)
    assert session.state == 3
    session, peer = established(alice, bob)
    with pytest.raises(InvalidValue):
        session.bye(alice.now, lines)
    with pytest.raises(InvalidValue):
        session.reinvite(alice.now, b"", lines)
    assert (network.log, session.busy) == ([], False)
    session.bye(alice.now)
    network.run(SOON)
    with pytest.raises(InvalidValue):
        peer.confirm_bye(bob.now, lines)
    peer.confirm_bye(bob.now)
    network.run(SOON)
    assert network.packets("200 BYE") != []


@pytest.mark.parametrize("lines", LINES, ids=ascii)
def test_lines_of_prack(alice: Party, bob: Party, lines: str) -> None:
    for party in (alice, bob):
        party.endpoint.support("100rel")
    session = alice.call(bob, lines="Require: 100rel\r\n")
    session.holds_prack = True
    alice.network.run(SOON)
    peer = bob.take(Invited).session
    peer.ring(bob.now, 183, reliable=True)
    alice.network.run(SOON)
    response = alice.take(Progressed).response
    with pytest.raises(InvalidValue):
        session.prack(alice.now, response, lines=lines)
    session.prack(alice.now, response)
    alice.network.run(SOON)
    assert len(alice.network.packets("200 PRACK")) == 1


@pytest.mark.parametrize("lines", LINES, ids=ascii)
def test_lines_of_a_subscription(alice: Party, bob: Party, lines: str) -> None:
    """Nothing is noted that a second try would find in its way."""
    session, _ = established(alice, bob)
    event = EventType("dialog")
    with pytest.raises(InvalidValue):
        subscribe_in(session, alice.now, event, lines=lines)
    with pytest.raises(InvalidValue):
        subscribe_in(session, alice.now, event, accept=("a/b\r\n",))
    assert alice.network.log == []
    subscribe_in(session, alice.now, event)
    alice.network.run(SOON)
    assert len(alice.network.packets("SUBSCRIBE")) == 1


@pytest.mark.parametrize("bad", [*CONTROLS, *SURROGATES[:3], *INJECTIONS], ids=ascii)
def test_a_reason_phrase(alice: Party, bob: Party, bad: str) -> None:
    session = alice.call(bob)
    alice.network.run(SOON)
    peer = bob.take(Invited).session
    for text in placed("Busy", bad):
        with pytest.raises(InvalidValue, match="reason phrase"):
            peer.ring(bob.now, 180, reason=text)
        with pytest.raises(InvalidValue, match="reason phrase"):
            peer.reject(bob.now, 486, text)
        with pytest.raises(InvalidValue):
            sipfrag(486, text)
    peer.reject(bob.now, 486, "Busy")
    alice.network.run(SOON)
    assert session.state == 3
    (packet,) = alice.network.packets("486 INVITE")
    assert packet.data.startswith(b"SIP/2.0 486 Busy\r\n")


@pytest.mark.parametrize("bad", BREAKS, ids=ascii)
def test_values_with_types_of_their_own(bad: str) -> None:
    """What exists can be written; a NUL in quotes is a quoted pair, as RFC 3261 has it."""
    for text in placed("text", bad):
        for make in (
            lambda text: NameAddr(f"sip:{text}@a"),
            lambda text: Replaces(text, "1", "2"),
            lambda text: Replaces("a", text, "2"),
            lambda text: EventType(text),
            lambda text: Reason(text),
            lambda text: Reason.q850(16, text),
            lambda text: WarningValue(399, text, "a"),
        ):
            with pytest.raises(InvalidValue):
                make(text)
        if bad[0] != "\0":
            for quoted in (
                lambda text: NameAddr("sip:a@b", text),
                lambda text: Reason("SIP", 200, text),
                lambda text: WarningValue(399, "a", text),
            ):
                with pytest.raises(InvalidValue):
                    quoted(text)


def test_a_request_that_is_built() -> None:
    with pytest.raises(InvalidValue):
        build_request("INFO", "sip:a@b", ["X-A: a\nb"])
    with pytest.raises(InvalidValue):
        build_request("INFO", "sip:a\n@b", ["X-A: a"])


@given(text=st.text(st.characters()), verb=st.sampled_from(sorted(VERBS)))
@settings(max_examples=200)
def test_any_text_is_refused_or_in_its_place(text: str, verb: str) -> None:
    network = Network()
    alice, bob = network.add("alice"), network.add("bob")
    try:
        VERBS[verb](alice.endpoint, alice.now, "x")
    except InvalidValue:
        raise AssertionError("a harmless text is refused") from None
    network.run(SOON)
    expected = shapes(network.log[:1], "alice")
    assert bob.endpoint.discarded == 0
    network = Network()
    alice, bob = network.add("alice"), network.add("bob")
    try:
        VERBS[verb](alice.endpoint, alice.now, text)
    except SipError:
        assert network.log == []
        return
    network.run(SOON)
    for packet in network.log[:1]:
        head = packet.data.partition(b"\r\n\r\n")[0]
        assert head.count(b"\r") == head.count(b"\n") == len(head.split(b"\r\n")) - 1
        assert b"\0" not in head
        names = tuple(line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:])
        assert [(packet.target, packet.summary, names)] == expected


@given(reason=st.binary(max_size=30), lines=st.binary(max_size=30))
@settings(max_examples=200)
def test_the_words_of_a_peer_in_our_answer(reason: bytes, lines: bytes) -> None:
    """What is told on from a response that could be read makes one of the same shape."""
    data = b"SIP/2.0 486 %b\r\nX-A: %b\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n" % (reason, lines)
    data += b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
    response = parse(data)
    assert isinstance(response, Response)
    if response.defect is not None:
        return
    network = Network()
    alice, bob = network.add("alice"), network.add("bob")
    session = alice.call(bob)
    network.run(SOON)
    peer = bob.take(Invited).session
    told = "".join(f"{name}: {value}\r\n" for name, value in response.lines() if name[:2] == "X-")
    peer.reject(bob.now, 486, response.reason, told)
    network.run(SOON)
    (packet,) = network.packets("486 INVITE")
    assert packet.message.defect is None
    assert session.state == 3
    assert packet.message.all("x-a") == response.all("x-a")


def test_a_refer_that_is_answered(alice: Party, bob: Party) -> None:
    """A NOTIFY tells a reason phrase in its body."""
    session, peer = established(alice, bob)
    session.refer(alice.now, "sip:carol@192.0.2.9")
    alice.network.run(SOON)
    refer = bob.take(Referred).refer
    refer.accept(bob.now)
    for bad in CONTROLS:
        with pytest.raises(InvalidValue):
            refer.notify(bob.now, 486, f"a{bad}b")
    assert isinstance(peer, InviteSession)


def test_a_refused_request_without_a_transaction(alice: Party) -> None:
    options = request("OPTIONS")
    for lines, reason in (("X-A: 1\n", ""), ("", "a\r\nb")):
        with pytest.raises(InvalidValue):
            alice.endpoint.refuse(options, PEER, alice.listener, 400, lines, reason)
    assert alice.endpoint.outbox == []
