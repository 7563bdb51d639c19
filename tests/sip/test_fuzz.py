"""No datagram raises out of the endpoint: random octets, and valid messages with damage."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sip.events import Invited
from sip.message import Request
from tests.sip.usage.calls import established, ringing
from tests.support.builders import PEER, request, request_text, response_text
from tests.support.network import Network, Party


class Scene:
    """An endpoint in the middle of several calls, and datagrams that concern them."""

    def __init__(self) -> None:
        self.network = Network()
        self.bob: Party = self.network.add("bob")
        alice = self.network.add("alice")
        carol = self.network.add_stranger("carol", *PEER)
        self.sessions = [established(self.bob, alice)[0], ringing(alice, self.bob)[1]]
        self.sessions[0].refer(self.network.now, "sip:dave@example.com")
        pending = self.bob.call(carol)
        carol.send(self.bob, request_text())
        self.network.run(0.1)
        self.sessions.append(self.bob.take(Invited).session)
        self.messages = [*self.requests(), *self.responses(carol.requests("INVITE")[0])]
        assert pending.client_invite is not None

    def requests(self) -> list[bytes]:
        methods = "INVITE ACK CANCEL BYE OPTIONS INFO UPDATE REFER NOTIFY REGISTER".split()
        extra = {
            "REFER": {"Refer-To": "<sip:dave@example.com?Replaces=x>"},
            "NOTIFY": {"Event": "refer;id=2", "Subscription-State": "active;expires=60"},
        }
        made = [request_text(method, extra.get(method), "v=0\r\n") for method in methods]
        for session in self.sessions:
            dialog = session.dialog
            inside = {"From": dialog.remote, "To": dialog.local, "Call-ID": dialog.call_id}
            for method in methods:
                headers = {**inside, **extra.get(method, {}), "CSeq": f"900 {method}"}
                made.append(request_text(method, headers))
        return made

    def responses(self, invite: Request) -> list[bytes]:
        routes = "Record-Route: <sip:p;lr>, <sip:q>\r\nContact: <sip:x@y;p=1>;q=1\r\n"
        statuses = (100, 180, 200, 302, 486)
        return [response_text(invite, status, "carol", routes) for status in statuses]

    def receive(self, data: bytes) -> None:
        """Take a datagram; what it leads to must be sendable."""
        network, bob = self.network, self.bob
        bob.endpoint.receive_datagram(data, PEER, bob.listener, network.now)
        network.pump()
        network.run(0.01)
        assert network.errors == []
        network.log.clear()
        bob.events.clear()


MESSAGES = Scene().messages  # the same for every scene: one seed makes all tags
_SNIPPETS = [
    b"\r\n",
    b"\n",
    b"\r\n ",
    b'"',
    b"<",
    b">",
    b",",
    b";",
    b"=",
    b":",
    b"\x00",
    b"\xff",
    b" ",
]
_SNIPPETS += [
    b"%00",
    b";tag=",
    b"branch=",
    b"SIP/2.0",
    b"[::1]",
    b"-1",
    b"99999999999",
    b"Via:",
    b"z9hG4bK",
]

_damage = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 12),
    st.one_of(st.sampled_from(_SNIPPETS), st.binary(max_size=6)),
)


def damaged(message: bytes, places: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, put in places:
        at %= len(message) + 1
        message = message[:at] + put + message[at + cut :]
    return message


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_octets(data: bytes) -> None:
    Scene().receive(data)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(MESSAGES) - 1), st.lists(_damage, max_size=4))
def test_damaged_messages(index: int, places: list[tuple[int, int, bytes]]) -> None:
    Scene().receive(damaged(MESSAGES[index], places))


_values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)
_names = st.sampled_from(
    "Via From To Call-ID CSeq Contact Record-Route Require Accept Content-Type Event Refer-To "
    "Subscription-State Content-Length Content-Encoding".split()
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["INVITE", "REFER", "NOTIFY", "ACK"]), st.dictionaries(_names, _values))
@example("INVITE", {"Via": 'SIP/2.0/UDP a;branch=z9hG4bK1;x="a,b'})
@example("INVITE", {"Record-Route": "<sip:a;lr>, <"})
@example("INVITE", {"Require": '"'})
@example("INVITE", {"Via": "SIP/2.0/UDP 198.51.100.9:0650009;branch=z9hG4bK1"})
def test_odd_values(method: str, fields: dict[str, str]) -> None:
    quoted = {name: value.replace("{", "").replace("}", "") for name, value in fields.items()}
    Scene().receive(request_text(method, quoted))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_names, _values), st.sampled_from([180, 200, 486]))
@example({"Record-Route": "<sip:a;lr>, <"}, 200)
@example({"Contact": "<sip:a b>"}, 200)
@example({"To": '"'}, 200)
def test_odd_values_in_responses(fields: dict[str, str], status: int) -> None:
    scene = Scene()
    scene.bob.call(f"sip:carol@{PEER[0]}")
    scene.network.pump()
    [invite] = scene.network.requests("INVITE")[-1:]
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    data = response_text(request(headers={"Via": invite.top_via}), status, "carol", lines)
    scene.receive(data)


def test_the_scene_comes_to_an_end() -> None:
    """Whatever all this did, what runs out runs out."""
    scene = Scene()
    for data in scene.messages:
        scene.receive(data)
    scene.network.run(200.0)
    assert scene.bob.endpoint.clients == {}
