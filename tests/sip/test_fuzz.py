"""No datagram raises out of the endpoint, hangs it, or leaves anything in its tables.

The long run of the same is `make fuzz`.
"""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import Mutator
from tests.fuzz.run import HUNG, Hung, Report, run, watched
from tests.fuzz.scene import Scene, read_all
from tests.fuzz.wire import run_over_udp
from tests.support.builders import PEER, request, request_text, response_text

pytestmark = pytest.mark.thousands


def check(scene: Scene, data: bytes) -> None:
    read_all(data)
    scene.receive(data)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_damaged_messages(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of them, and all tables are empty after each round."""
    monkeypatch.setattr("tests.fuzz.run.SLOW", HUNG)  # on a busy machine much takes long
    report = run(seed, range(6), 1_000)
    assert report.datagrams == 6_000
    assert report.findings == []
    assert report.clean, report
    assert report.most_entries > 10


def test_a_live_server() -> None:
    report = run_over_udp(1, 1_000)
    assert report.datagrams == 1_000
    assert report.clean, report.findings


def test_a_seed_decides_everything() -> None:
    one, other = (Mutator(Scene().messages, Random("7")) for _ in range(2))
    assert [one.next() for _ in range(500)] == [other.next() for _ in range(500)]


def test_what_raises_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_data: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tests.fuzz.run.read_all", fail)
    report = run(1, range(1), 40)
    assert report.exceptions == 10
    assert not report.clean
    assert "round 0, datagram 4 " in report.findings[1]
    assert "ZeroDivisionError" in report.findings[1]


def test_what_hangs_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.run.HUNG", 0.05)

    def hang() -> None:
        while True:
            pass

    with watched() as rearm:
        rearm()
        with pytest.raises(Hung):
            hang()


def test_reports_join() -> None:
    total = Report(seconds=2.0)
    total.add(Report(datagrams=3, longest=0.2, rest=1, findings=["one"]))
    total.add(Report(datagrams=5, longest=0.1, exceptions=1, findings=["two"]))
    assert (total.datagrams, total.longest, total.findings) == (8, 0.2, ["one", "two"])
    assert not total.clean
    assert "8 datagrams" in str(total)


@settings()
@given(st.binary(max_size=300))
def test_random_octets(data: bytes) -> None:
    check(Scene(), data)


_values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)
_names = st.sampled_from(
    "Via From To Call-ID CSeq Contact Record-Route Require Accept Content-Type Event Refer-To "
    "Subscription-State Content-Length Content-Encoding".split()
)


@settings(max_examples=200)
@given(st.sampled_from(["INVITE", "REFER", "NOTIFY", "ACK"]), st.dictionaries(_names, _values))
@example("INVITE", {"Via": 'SIP/2.0/UDP a;branch=z9hG4bK1;x="a,b'})
@example("INVITE", {"Record-Route": "<sip:a;lr>, <"})
@example("INVITE", {"Require": '"'})
@example("INVITE", {"Via": "SIP/2.0/UDP 198.51.100.9:0650009;branch=z9hG4bK1"})
def test_odd_values(method: str, fields: dict[str, str]) -> None:
    quoted = {name: value.replace("{", "").replace("}", "") for name, value in fields.items()}
    check(Scene(), request_text(method, quoted))


@settings(max_examples=200)
@given(st.dictionaries(_names, _values), st.sampled_from([180, 200, 486]))
@example({"Record-Route": "<sip:a;lr>, <"}, 200)
@example({"Contact": "<sip:a b>"}, 200)
@example({"To": '"'}, 200)
def test_odd_values_in_responses(fields: dict[str, str], status: int) -> None:
    scene = Scene()
    invite = scene.bob.call(f"sip:carol@{PEER[0]}").client_invite
    assert invite is not None
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    data = response_text(request(headers={"Via": invite.request.top_via}), status, "carol", lines)
    check(scene, data)


def test_the_scene_comes_to_an_end() -> None:
    """Whatever all this did, what runs out runs out."""
    scene = Scene()
    for data in scene.messages:
        scene.receive(data)
    assert scene.end() == {}
