"""The trace of calls in memory: every message on every leg, in bounds."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.errors import TraceNotFound
from simulator.ladder import Columns, label_of
from simulator.trace import TracedMessage
from simulator.trace_reader import _begins
from simulator.trace_text import text_ladder
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.world import World
from tests.support.network import Stranger

LONG = f"X-Long: {'a' * 20_000}\r\n"
"""More than 50 of them do not fit a trace of 1 MiB."""


@pytest.fixture
def build(build: Build) -> Iterator[Build]:
    """Its calls are ended after the test."""
    worlds: list[World] = []

    def make(**sections: Any) -> World:
        worlds.append(build(**sections))
        return worlds[-1]

    yield make
    for world in worlds:
        for call in list(world.server.calls.values()):
            call.end(world.network.now, "completed", "")
        world.run()


def told(world: World, name: str) -> list[str]:
    """A call as it is traced: ``caller > INVITE``, ``vxml < 200 OK``."""
    return [shown(message) for message in world.server.trace.messages(name)]


def shown(message: TracedMessage) -> str:
    label = (label_of(message.data) or "malformed").removesuffix(" (SDP)")
    return f"{message.leg or '?'} {'>' if message.direction == 'in' else '<'} {label}"


def on_the_wire(world: World) -> list[bytes]:
    """What the server sent and got."""
    return [packet.data for packet in world.network.log]


def invite(world: World, stranger: Stranger, number: int, field: str, body: str = "") -> str:
    """An INVITE of a stranger's with its Call-ID in `field`."""
    return (
        f"INVITE sip:5000@{world.address} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {stranger.address[0]};branch=z9hG4bK{number}\r\n"
        f"From: <sip:1@a>;tag={number}\r\nTo: <sip:5000@b>\r\n"
        f"{field}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
        f"Contact: <{stranger.uri}>\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def test_every_message_of_every_leg_in_order(world: World) -> None:
    line = world.dial("7000")
    world.run(12.0)
    guid = world.call.guid
    assert told(world, guid)[:4] == [
        "caller > INVITE", "caller < 100 Trying", "vxml < INVITE", "vxml > 200 OK",
    ]  # fmt: skip
    line.hang_up()
    world.run(2.0)
    assert world.state == "ended"
    view = world.server.trace.of(guid)
    assert view.ended
    assert view.guid == guid
    assert {message.leg for message in view.messages} == {"caller", "vxml", "agent"}
    assert [m.data for m in view.messages if m.direction == "out"] == [
        packet.data for packet in world.network.log if packet.source == "server"
    ]
    assert sorted(m.data for m in view.messages) == sorted(on_the_wire(world))
    assert [m.number for m in view.messages] == sorted(m.number for m in view.messages)
    assert [m.time for m in view.messages] == sorted(m.time for m in view.messages)
    first = view.messages[0]
    assert first.time == pytest.approx(world.server.epoch + 0.01)
    assert (first.transport, first.local) == ("UDP", world.party.address)
    assert first.peer == world.caller.party.address
    assert first.call_id == world.call.caller.session.dialog.call_id


def test_a_call_that_was_refused_before_it_was_one(build: Build) -> None:
    world = build(server={"max_calls": 0})
    world.dial("7000")
    world.run()
    (listed,) = world.server.trace.calls(10)
    assert (listed.guid, listed.status, listed.legs, listed.messages) == ("", 503, 1, 3)
    assert listed.request.startswith("INVITE sip:7000@")
    assert told(world, listed.call_id) == [
        "? > INVITE", "? < 503 Service Unavailable", "? > ACK",
    ]  # fmt: skip
    assert world.server.trace.of(listed.call_id).ended


def test_retransmissions_are_there(world: World) -> None:
    world.network.lose("200 INVITE")
    world.dial("5000")
    world.run(2.0)
    found = told(world, world.call.guid)
    assert found.count("caller < 200 OK") == 2


def test_the_call_id_of_a_leg_will_do(world: World) -> None:
    world.self_service()
    guid = world.call.guid
    for leg in world.call.legs:
        assert world.server.trace.of(leg.session.dialog.call_id).guid == guid
    assert told(world, guid.lower()) == told(world, guid)
    world.call.legs[0].session.bye(world.network.now)
    call_id = world.call.legs[1].session.dialog.call_id
    world.call.end(world.network.now, "completed", "")
    world.run()
    assert world.server.trace.of(call_id).guid == guid


def test_secrets_are_masked(world: World) -> None:
    world.dial("5000", lines='Authorization: Digest username="a", response="0123abcd"\r\n')
    world.run()
    first = world.server.trace.messages(world.call.guid)[0]
    assert b'response="xxxxxxxx"' in first.data
    assert len(first.data) == len(on_the_wire(world)[0])


def test_turned_off_it_keeps_nothing_and_costs_nothing(world: World) -> None:
    world.standalone()
    guid = world.call.guid
    world.server.trace.switch(on=False)
    assert world.party.taps == []
    with pytest.raises(TraceNotFound, match="the trace is off: PUT /sim/v1/trace"):
        world.server.trace.of(guid)
    world.server.trace.switch(on=True)
    assert told(world, guid) == []  # it is known, but from now on
    world.call.end(world.network.now, "completed", "")
    world.run()
    assert told(world, guid) == ["caller < BYE", "caller > 200 OK"]
    world.server.trace.switch(on=False)
    world.server.trace.restore()
    assert world.server.trace.enabled


def test_off_by_configuration(build: Build) -> None:
    world = build(trace={"enabled": False})
    assert world.party.taps == []
    world.standalone()
    assert world.server.trace.calls(10) == []


def test_a_call_that_was_pushed_out(build: Build) -> None:
    world = build(trace={"memory": 1})
    guids = []
    for _ in range(70):
        line = world.dial("5000", lines=LONG)
        world.run()
        guids.append(world.call.guid)
        line.hang_up()
        world.run()
    kept = [guid for guid in guids if _is_kept(world, guid)]
    assert kept == guids[-len(kept) :]
    assert 30 <= len(kept) <= 50
    with pytest.raises(TraceNotFound, match="newer ones took its place"):
        world.server.trace.of(guids[0])
    listed = world.server.trace.calls(100)
    assert [one.guid for one in listed] == kept[::-1]
    assert listed[0].messages == 5
    assert [one.guid for one in world.server.trace.calls(3)] == guids[:-4:-1]
    assert world.server.trace.state().messages == sum(one.messages for one in listed)


def _is_kept(world: World, guid: str) -> bool:
    try:
        return bool(world.server.trace.of(guid).messages)
    except TraceNotFound:
        return False


def test_ended_and_refused_calls_make_room_for_those_in_progress(build: Build) -> None:
    world = build(trace={"memory": 1}, server={"max_calls": 1})
    world.standalone()
    guid = world.call.guid
    before = world.server.trace.messages(guid)
    for _ in range(200):
        world.dial("7000", lines=LONG)
        world.run()
    assert len(world.seen) == 1
    assert world.server.trace.messages(guid) == before
    assert world.server.trace.state().octets <= 1 << 20
    listed = world.server.trace.calls(1000)
    assert listed[-1].guid == guid
    assert {one.guid for one in listed[:-1]} == {""}
    assert 30 <= len(listed) <= 50


def test_calls_in_progress_lose_their_messages_at_last(build: Build) -> None:
    world = build(trace={"memory": 1})
    lines = [world.dial("5000", lines=LONG) for _ in range(100)]
    world.run()
    trace = world.server.trace
    assert len(world.server.calls) == 100
    assert trace.state().octets <= (6 << 20) // 5
    views = [trace.of(guid) for guid in world.server.calls]
    assert [len(view.messages) + view.omitted for view in views] == 100 * [3]
    assert sum(view.omitted for view in views) > 50
    last = world.call.guid
    assert told(world, last)[0] == "caller > INVITE"
    for line in lines:
        line.hang_up()
    world.run()
    assert told(world, last)[-1] == "caller < 200 OK"
    assert all(trace.of(view.guid).omitted >= view.omitted for view in views)


def test_a_flood_leaves_the_messages_of_calls_in_progress(build: Build) -> None:
    world = build(trace={"memory": 1}, server={"max_calls": 1})
    world.standalone()
    for _ in range(60):
        world.dial("7000", lines=LONG)
    world.run()
    assert len(world.seen) == 1
    assert world.server.trace.state().octets <= 1 << 20
    assert told(world, world.call.guid) == ["caller > INVITE", "caller < 200 OK", "caller > ACK"]


@pytest.mark.parametrize(("age", "kept"), [(0.6, 2), (5.0, 1)])
def test_what_waited_at_the_door_stays(build: Build, age: float, kept: int) -> None:
    """A piece that is older than all calls in progress is not looked through: what was said
    under the Call-ID of one long before is none of its messages."""
    world = build(trace={"memory": 1})
    world.run(10.0)
    trace = world.server.trace
    stranger = world.network.add_stranger("door")
    text = invite(world, stranger, 1, "Call-ID: door")

    def flood(times: int, time: float) -> None:
        for _ in range(times):
            trace._take("in", LONG.encode(), world.party.listener, stranger.address, time)

    waited = world.network.now - age
    trace._take("in", text.encode(), world.party.listener, stranger.address, waited)
    flood(8, waited)
    stranger.send(world.party, text)
    world.run(0.05)
    guid = world.call.guid
    flood(64, world.network.now)
    assert told(world, guid) == ["caller > INVITE"] * kept + ["caller < 200 OK"]
    world.call.end(world.network.now, "completed", "")
    world.run(40.0)


def test_call_ids_that_are_used_again(world: World) -> None:
    """They belong to the latest call."""
    stranger = world.network.add_stranger("again")
    for number in range(3):
        stranger.send(world.party, invite(world, stranger, number, "Call-ID: again"))
        world.run()
        guid = world.call.guid
        world.call.end(world.network.now, "completed", "")
        world.run(40.0)
        assert world.server.trace.of("again").guid == guid
        assert len(world.server.trace.calls(10)) == 1


def test_a_call_id_in_a_body_is_none(world: World) -> None:
    world.standalone()
    guid = world.call.guid
    before = told(world, guid)
    call_id = world.call.caller.session.dialog.call_id
    stranger = world.network.add_stranger("inside")
    body = f"\r\nCall-ID: {call_id}\r\n"
    stranger.send(world.party, invite(world, stranger, 1, "i: inside", body))
    stranger.send(world.party, "\r\n\r\n" + invite(world, stranger, 2, "i: behind", body))
    world.run()
    assert told(world, guid) == before
    assert told(world, "inside")[0].endswith("> INVITE")
    assert told(world, "behind")[0].endswith("> INVITE")


def test_calls_in_progress_stay_however_long_they_last(build: Build) -> None:
    """What they said is moved again and again, and is there once."""
    world = build(trace={"memory": 1})
    for _ in range(30):
        world.dial("5000")
        world.run()
    held = list(world.server.calls)
    for _ in range(200):
        line = world.dial("5000", lines=LONG)
        world.run()
        line.hang_up()
        world.run()
    for guid in held:
        assert told(world, guid) == ["caller > INVITE", "caller < 200 OK", "caller > ACK"]
    listed = world.server.trace.calls(1000)
    assert [one.guid for one in listed[-30:]] == held[::-1]
    assert [one.guid for one in world.server.trace.calls(5)] == [one.guid for one in listed[:5]]
    assert world.server.trace.state().messages == sum(one.messages for one in listed)


def test_many_peers_take_no_memory_besides(build: Build) -> None:
    """Each is remembered in a piece: it ends early where there are too many."""
    world = build(trace={"memory": 1})
    take = world.server.trace._take
    listener = world.party.listener
    for number in range(20_000):
        take("in", b"\r\n", listener, (f"198.51.{number >> 8}.{number & 255}", 5060), 0.0)
    pieces = world.server.trace._pieces
    assert all(len(piece._ends) <= 1 + len(piece.octets) // 1024 for piece in pieces)
    assert sum(len(piece.octets) for piece in pieces) <= (6 << 20) // 5


@pytest.mark.parametrize(
    ("to", "begins"),
    [
        ("To: <sip:a@b;tag=1>", True),
        ('t : "x;tag=1" <sip:a@b>', True),
        ("To: <sip:a@b>\r\n ; TAG = 1", False),
        ("To: sip:a@b;tag=1", False),
    ],
)
def test_which_invites_begin_a_call(to: str, begins: bool) -> None:
    data = f"INVITE sip:a SIP/2.0\r\n{to}\r\nCall-ID: 1\r\n\r\nTo: <sip:a>;tag=1\r\n"
    assert _begins(data.encode()) is begins


def test_a_call_whose_leg_never_went_out_is_listed(build: Build) -> None:
    world = build(faults=[{"name": "lost", "method": "INVITE", "direction": "out", "drop": True}])
    world.dial("5000")
    world.run()
    world.dial("6000")
    world.run()
    assert [one.guid for one in world.server.trace.calls(1)] == [world.call.guid]


def test_a_long_leg_keeps_its_begin_and_its_end(build: Build) -> None:
    world = build(trace={"memory": 1})
    line = world.standalone()
    for number in range(900):
        line.offer("sendonly" if number % 2 else "sendrecv")
        world.run()
    guid = world.call.guid
    view = world.server.trace.of(guid)
    assert [shown(one) for one in view.messages[:4]] == [
        "caller > INVITE", "caller < 200 OK", "caller > ACK", "caller > re-INVITE",
    ]  # fmt: skip
    assert shown(view.messages[-1]) == "caller > ACK"
    assert view.omitted == 3 + 2_700 - len(view.messages) > 300
    assert text_ladder(view).endswith(f"{view.omitted} messages are not kept any more\n")
    (listed,) = world.server.trace.calls(1)
    assert (listed.guid, listed.messages) == (guid, len(view.messages))


def test_compact_and_odd_spellings_of_call_id(world: World) -> None:
    stranger = world.network.add_stranger("odd")
    for number, field in enumerate(("i: {}", "Call-ID:  {} ", "CALL-ID\t:{}", "Call-ID:\r\n {}")):
        stranger.send(world.party, invite(world, stranger, number, field.format(f"odd-{number}")))
        world.run()
        found = told(world, f"odd-{number}")
        assert found[:2] == ["caller > INVITE", "caller < 200 OK"]
        assert world.server.trace.of(f"odd-{number}").guid == world.call.guid
        world.call.end(world.network.now, "completed", "")
    world.run(40.0)


def test_what_is_not_of_a_call_is_not_listed(world: World) -> None:
    stranger = world.network.add_stranger("pinger")
    stranger.send(
        world.party,
        f"OPTIONS sip:{world.address} SIP/2.0\r\nVia: SIP/2.0/UDP {stranger.address[0]}"
        ";branch=z9hG4bKo\r\nFrom: <sip:1@a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: ping\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    )
    stranger.send(world.party, b"\r\n\r\n")
    world.run()
    assert stranger.statuses("OPTIONS") == [200]
    assert world.server.trace.calls(10) == []
    assert told(world, "ping") == ["? > OPTIONS", "? < 200 OK"]


def test_a_note_stands_where_it_was_made(world: World) -> None:
    line = world.standalone()
    call_id = world.call.caller.session.dialog.call_id
    world.server.trace.mark(call_id, "ACK dropped by rule 3", world.network.now)
    line.hang_up()
    world.run()
    found = world.server.trace.messages(world.call.guid)
    (at,) = [place for place, message in enumerate(found) if message.note]
    assert (found[at].note, found[at].data, found[at].direction) == (
        "ACK dropped by rule 3", b"", "",
    )  # fmt: skip
    assert shown(found[at + 1]) == "caller > BYE"


def test_what_a_fault_did_is_noted(build: Build) -> None:
    """Also to a message that never was on the wire."""
    world = build(faults=[{"name": "lost", "method": "INVITE", "direction": "out", "drop": True}])
    world.dial("6000")
    world.run()
    found = world.server.trace.messages(world.call.guid)
    assert [message.leg for message in found if message.direction] == ["caller"] * 2
    (note,) = [message for message in found if message.note]
    assert note.leg == "callee"
    assert note.note.startswith("lost: ")
    world.server.trace.switch(on=False)
    world.run(1.0)
    assert world.server.trace.state().messages == 0


def test_a_note_alone_is_no_call(world: World) -> None:
    world.server.trace.mark("stranger", "OPTIONS dropped", world.network.now)
    assert world.server.trace.calls(10) == []
    assert [one.note for one in world.server.trace.messages("stranger")] == ["OPTIONS dropped"]


def test_notes_are_in_bounds_too(build: Build) -> None:
    world = build(trace={"memory": 1})
    world.standalone()
    call_id = world.call.caller.session.dialog.call_id
    for _ in range(3_000):
        world.server.trace.mark(call_id, "n" * 1_000, world.network.now)
    view = world.server.trace.of(call_id)
    assert (
        sum(len(one.note) for one in view.messages) < world.server.trace.state().octets <= 1 << 20
    )
    assert len(view.messages) + view.omitted == 3_003
    assert shown(view.messages[0]) == "caller > INVITE"


def test_the_ladder_as_text(world: World) -> None:
    line = world.dial("3000")
    world.run()
    world.server.trace.mark(world.call.caller.session.dialog.call_id, "a note", world.network.now)
    line.hang_up()
    world.run()
    found = text_ladder(world.server.trace.of(world.call.guid))
    lines = [re.sub(r" +", " ", one).strip() for one in found.splitlines()]
    assert lines[0] == "caller call server vxml"
    assert re.fullmatch(r"192\.0\.2\.\d+:5060 192\.0\.2\.\d+:5060", lines[1])
    assert lines[2] == "0.000 |---- INVITE (SDP) -->| |"
    assert lines[4] == "0.000 | |---- INVITE (SDP) -->|"
    assert any(re.fullmatch(r"0\.\d{3} \* a note", one) for one in lines)
    assert lines[-1] == "0.220 | |<----- 200 OK ------|" or "200 OK" in lines[-1]
    bars = {one.rindex("|") for one in found.splitlines()[2:] if "|" in one and "*" not in one}
    assert len(bars) <= 2  # columns stand still


def test_under_overload_calls_are_traced_too(build: Build) -> None:
    world = build(admission={"rate": 1})
    first = world.dial("5000")
    refused = [world.dial("5000") for _ in range(5)]
    world.run()
    assert world.server.admission.overload == "rate"
    world.run(1.0)
    assert world.server.admission.overload == "rate"
    world.forget()
    second = world.dial("5000")
    world.run()
    assert (first.statuses, second.statuses) == ([200], [200])
    call_id = second.session.dialog.call_id
    assert [m.data for m in world.server.trace.messages(call_id)] == on_the_wire(world)
    for line in refused:
        assert line.statuses == [503]
        assert told(world, line.session.dialog.call_id) == [
            "? > INVITE", "? < 503 Service Unavailable", "? > ACK",
        ]  # fmt: skip
    for line in (first, second):
        line.hang_up()
    world.run(5.0)
    assert world.server.admission.overload == ""


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_label_is_one_plain_line(end: bytes) -> None:
    body = b"SIP/2.0 200 \x1b[2JOK" + end + b"X: 1\r\n"
    head = b"NOTIFY sip:a SIP/2.0\r\nContent-Type: message/sipfrag\r\n"
    data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert label_of(data) == "NOTIFY (200 \\x1b[2JOK)"
    assert Columns.note("a\nb\x1b") == "  * a\\nb\\x1b"
