"""A registrar (RFC 3261 section 10.3) and Path (RFC 3327)."""

from typing import Any

import pytest

from sip.message import Request, Response
from sip.registrar import MOST_CONTACTS, Binding, Registrar
from sip.transport import Address
from tests.sip.usage.calls import SOON
from tests.support.builders import request_text
from tests.support.network import Network, Party, Stranger

AOR = "<sip:1001@pbx.example>"
PHONE = "<sip:1001@198.51.100.9:5060>"
OTHER = "<sip:1001@198.51.100.10>"


class World:
    """A registrar and a phone without a stack."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.server: Party = network.add("server")
        self.phone: Stranger = network.add_stranger("phone", "198.51.100.9")
        self.changes: list[tuple[str, int]] = []
        self.registrar = Registrar(self.server.endpoint, self.accepts, self.changed)
        self._number = 0

    def accepts(self, user: str, _request: Request, _address: Address) -> int:
        return {"1001": 0, "+1002": 0, "forbidden": 403}.get(user, 404)

    def changed(self, user: str, bindings: tuple[Binding, ...], _now: float) -> None:
        self.changes.append((user, len(bindings)))

    def register(self, number: int = 0, **headers: str | None) -> Response:
        """A REGISTER of the phone, and the answer."""
        self._number = number or self._number + 1
        taken = {
            "To": AOR,
            "From": f"{AOR};tag=p",
            "Call-ID": "phone",
            "Contact": PHONE,
            **{name.replace("_", "-"): value for name, value in headers.items()},
            "CSeq": f"{self._number} REGISTER",
            "Via": f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK{len(self.phone.received)}",
        }
        self.phone.send(self.server, request_text("REGISTER", taken, uri="sip:pbx.example"))
        self.network.run(SOON)
        return self.phone.responses("REGISTER")[-1]

    @property
    def uris(self) -> list[str]:
        return [str(binding.uri) for binding in self.registrar.bindings.get("1001", ())]


@pytest.fixture
def world(network: Network) -> World:
    return World(network)


def test_a_binding(world: World) -> None:
    response = world.register(Expires="300")
    assert response.status == 200
    assert response.all("contact") == [f"{PHONE};expires=300"]
    assert world.uris == [PHONE.strip("<>")]
    assert world.changes == [("1001", 1)]
    found = world.registrar.find("1001")
    assert found is not None
    assert str(found.uri) == PHONE.strip("<>")
    assert world.registrar.find("+1002") is None


def test_it_ends_by_itself(network: Network, world: World) -> None:
    world.register(Expires="100")
    network.run(60)
    world.register(Contact=OTHER, Expires="300")
    network.run(45)
    assert world.uris == [OTHER.strip("<>")]
    network.run(300)
    assert world.registrar.bindings == {}
    assert world.changes == [("1001", 1), ("1001", 2), ("1001", 1), ("1001", 0)]
    network.settle()


def test_a_refresh(network: Network, world: World) -> None:
    world.register(Expires="100")
    network.run(90)
    response = world.register(Expires="100")
    assert response.all("contact") == [f"{PHONE};expires=100"]
    network.run(90)
    assert len(world.uris) == 1


@pytest.mark.parametrize(
    ("contact", "expires", "granted"),
    [
        (f"{PHONE};expires=120", "300", 120),  # the parameter comes first
        (PHONE, "300", 300),
        (PHONE, None, 3600),
        (PHONE, "99999", 7200),
        (PHONE, "soon", 3600),  # section 20.19
    ],
)
def test_the_interval(world: World, contact: str, expires: str | None, granted: int) -> None:
    response = world.register(Contact=contact, Expires=expires)
    assert response.all("contact") == [f"{PHONE};expires={granted}"]


def test_too_brief(world: World) -> None:
    response = world.register(Expires="10")
    assert (response.status, response.get("min-expires")) == (423, "60")
    assert world.uris == []


def test_fetched(world: World) -> None:
    """Section 10.2.3: without Contact the bindings are told and kept."""
    world.register(Contact=f"{PHONE};q=0.5, {OTHER}")
    response = world.register(Contact=None)
    assert response.all("contact") == [f"{PHONE};q=0.5;expires=3600", f"{OTHER};expires=3600"]
    assert len(world.changes) == 1


def test_the_best_contact(world: World) -> None:
    world.register(Contact=f"{PHONE};q=0.9, {OTHER};q=0.1")
    found = world.registrar.find("1001")
    assert found is not None
    assert found.uri.host == "198.51.100.9"
    world.register(Contact=f"{OTHER};q=0.9")  # of the same q the latest
    found = world.registrar.find("1001")
    assert found is not None
    assert found.uri.host == "198.51.100.10"


def test_taken_back(world: World) -> None:
    world.register(Contact=f"{PHONE}, {OTHER}")
    response = world.register(Contact=PHONE, Expires="0")
    assert response.all("contact") == [f"{OTHER};expires=3600"]
    response = world.register(Contact="*", Expires="0")
    assert (response.status, response.get("contact")) == (200, None)
    assert world.registrar.bindings == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Contact": "*", "Expires": "60"},
        {"Contact": "*"},
        {"Contact": f"*, {PHONE}", "Expires": "0"},
        {"Contact": "<mailto:a@example.com>"},
        {"Contact": "<sip:1001@"},
        {"Contact": f"{PHONE};q=high"},
        {"Contact": f"{PHONE};q=nan"},
        {"Contact": f"{PHONE};q=-0.5"},
        {"Path": "<sip:proxy"},
    ],
)
def test_what_is_malformed(world: World, headers: dict[str, Any]) -> None:
    world.register(Contact=OTHER)
    assert world.register(**headers).status == 400
    assert world.uris == [OTHER.strip("<>")]


def test_the_order_of_requests(world: World) -> None:
    """Section 10.3 step 7: an old request of the same Call-ID changes nothing."""
    world.register(5)
    assert world.register(4, Contact=f"{OTHER}, {PHONE};expires=0").status == 500
    assert world.register(3, Contact="*", Expires="0").status == 500
    assert world.uris == [PHONE.strip("<>")]
    assert world.register(4, Call_ID="restarted", Expires="300").status == 200
    assert world.register(5, Call_ID="restarted", Contact="*", Expires="0").status == 200


def test_equal_uris_are_one(world: World) -> None:
    """Section 19.1.4."""
    world.register()
    world.register(Contact="<SIP:%31001@198.51.100.9:5060>")
    assert len(world.uris) == 1


def test_who_may_not(world: World) -> None:
    assert world.register(To="<sip:forbidden@pbx.example>").status == 403
    assert world.register(To="<sip:nobody@pbx.example>").status == 404
    assert world.register(To="<sip:pbx.example>").status == 404
    assert world.register(To="<tel:+1002>").status == 200


def test_too_many_contacts(world: World) -> None:
    many = ", ".join(f"<sip:1001@198.51.100.{n}>" for n in range(10, 11 + MOST_CONTACTS))
    assert world.register(Contact=many).status == 403
    assert world.uris == []


def test_path(world: World) -> None:
    """RFC 3327 section 5.3: the route to the contact, told back to who understands it."""
    path = "<sip:p1.example;lr>,<sip:p2.example;lr>"
    response = world.register(Path=path, Supported="path", Require="path")
    assert response.status == 200
    assert response.all("path") == path.split(",")
    assert response.has_option("supported", "path")
    found = world.registrar.find("1001")
    assert found is not None
    assert found.path == tuple(path.split(","))
    assert world.register(Path=path).get("path") is None
    world.register()  # the way has changed
    found = world.registrar.find("1001")
    assert found is not None
    assert found.path == ()


def test_closed(network: Network, world: World) -> None:
    world.register()
    world.registrar.close()
    network.settle()
