"""Requests that name another dialog: RFC 3891 section 3, RFC 4538 section 4."""

import pytest

from sip.endpoint import Endpoint
from sip.errors import InvalidState, PeerError
from sip.events import Hungup, ReferProgressed, Referred
from sip.replaces import Replaces
from sip.usage.named import find_replaced, replaced_by, replaces_of, target_dialog
from sip.usage.notifier import OutOfDialogRefer
from tests.sip.usage.calls import SOON, Sides, end, established, ringing, with_stranger
from tests.support.builders import request, request_text
from tests.support.network import Network, Party, Stranger


@pytest.fixture
def call(alice: Party, bob: Party) -> Sides:
    return established(alice, bob)


@pytest.fixture
def carol(network: Network) -> Stranger:
    return network.add_stranger("carol", "198.51.100.9")


def refused(replaces: Replaces, endpoint: Endpoint) -> int:
    with pytest.raises(PeerError) as error:
        find_replaced(replaces, endpoint.sessions)
    return error.value.status


def test_the_session_named(bob: Party, call: Sides) -> None:
    """What the one side says of its dialog is what the other looks up."""
    session, peer = call
    assert find_replaced(replaces_of(session), bob.endpoint.sessions) is peer
    named = request(headers={"Replaces": str(replaces_of(session))})
    assert replaced_by(named, bob.endpoint.sessions) is peer
    assert replaced_by(request(), bob.endpoint.sessions) is None


def test_no_match(bob: Party, call: Sides) -> None:
    right = replaces_of(call[0])
    for wrong in (
        Replaces("x", right.to_tag, right.from_tag),
        Replaces(right.call_id, "x", right.from_tag),
        Replaces(right.call_id, right.to_tag, "x"),
        Replaces(right.call_id, right.from_tag, right.to_tag),
        Replaces(right.call_id, right.to_tag, "0"),
    ):
        assert refused(wrong, bob.endpoint) == 481


def test_a_peer_without_a_tag(network: Network, alice: Party, carol: Stranger) -> None:
    """Section 3: "0" stands for the tag that a system of RFC 2543 did not give."""
    session = with_stranger(alice, carol)
    session.dialog.remote_tag = None
    named = Replaces(session.dialog.call_id, session.local_tag, "0")
    assert find_replaced(named, alice.endpoint.sessions) is session
    session.dialog.remote_tag = "c"
    assert refused(named, alice.endpoint) == 481
    network.run(0.1)


def test_early_only(bob: Party, call: Sides) -> None:
    assert refused(replaces_of(call[0], early_only=True), bob.endpoint) == 486


def test_an_early_dialog(network: Network, alice: Party, bob: Party) -> None:
    """It can be replaced where its INVITE was sent, and there only."""
    session, peer = ringing(alice, bob)
    assert find_replaced(replaces_of(peer), alice.endpoint.sessions) is session
    assert refused(replaces_of(session), bob.endpoint) == 481
    session.cancel(network.now)


def test_no_dialog_yet(alice: Party, bob: Party) -> None:
    session = alice.call(bob)
    with pytest.raises(InvalidState):
        replaces_of(session)


def test_a_dialog_that_ends(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    session, peer = call
    named = replaces_of(peer)
    session.bye(network.now)
    assert refused(named, alice.endpoint) == 603
    network.run(SOON)
    bob.take(Hungup).session.confirm_bye(network.now)
    network.run(SOON)
    assert refused(named, alice.endpoint) == 481


def test_several(bob: Party, call: Sides) -> None:
    value = f"{replaces_of(call[0])}\r\nReplaces: {replaces_of(call[0])}"
    with pytest.raises(PeerError) as error:
        replaced_by(request(headers={"Replaces": value}), bob.endpoint.sessions)
    assert error.value.status == 400


# Target-Dialog.


def target_of(session: object, turned: bool = False) -> str:
    dialog = session.dialog  # type: ignore[attr-defined]
    tags = (dialog.local_tag, dialog.remote_tag)
    local, remote = tags[::-1] if turned else tags
    return f"{dialog.call_id};local-tag={local};remote-tag={remote}"


def refer(carol: Stranger, to: Party, number: int, **headers: str | None) -> None:
    fields: dict[str, str | None] = {
        "Refer-To": "<sip:dave@example.com>",
        "Call-ID": "refer@198.51.100.9",
        "CSeq": f"{number} REFER",
        "Via": f"SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKr{number};rport",
        "Record-Route": "<sip:198.51.100.9;lr>",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    carol.send(to, request_text("REFER", fields))


@pytest.mark.parametrize("turned", [False, True])
def test_refer_outside_a_dialog(
    network: Network, bob: Party, call: Sides, carol: Stranger, turned: bool
) -> None:
    """RFC 4538: whoever knows the dialog may ask; NOTIFY goes in the dialog of the REFER."""
    OutOfDialogRefer(bob.endpoint)
    _, peer = call
    refer(carol, bob, 1, Target_Dialog=target_of(peer, turned), Require="tdialog")
    network.run(SOON)
    event = bob.take(Referred)
    assert event.session is peer
    event.refer.accept(network.now)
    network.run(SOON)
    assert carol.statuses("REFER") == [202]
    [accepted] = carol.responses("REFER")
    assert accepted.get("record-route") == "<sip:198.51.100.9;lr>"
    [notify] = carol.requests("NOTIFY")
    assert (notify.call_id, notify.from_tag) == ("refer@198.51.100.9", accepted.to_tag)
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    event.refer.notify(network.now, 200)
    network.run(SOON)
    assert carol.requests("NOTIFY")[-1].body == b"SIP/2.0 200 OK\r\n"
    assert len(bob.endpoint.sessions) == 1


@pytest.mark.parametrize("answer", ["reject", "silent"])
def test_nothing_stays_of_it(
    network: Network, bob: Party, call: Sides, carol: Stranger, answer: str
) -> None:
    OutOfDialogRefer(bob.endpoint)
    silent = {"Refer_Sub": "false"} if answer == "silent" else {}
    refer(carol, bob, 1, Target_Dialog=target_of(call[1]), **silent)
    network.run(SOON)
    received = bob.take(Referred).refer
    if answer == "reject":
        received.reject(network.now, 603)
    else:
        received.accept(network.now)
    network.run(SOON)
    assert not carol.requests("NOTIFY")
    assert len(bob.endpoint.sessions) == 1


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (None, 403),
        ("x;local-tag=1;remote-tag=2", 403),
        ("x;local-tag=1", 400),
        ("x;local-tag=1;remote-tag=2, y;local-tag=1;remote-tag=2", 403),
    ],
)
def test_refer_of_a_stranger(
    network: Network, bob: Party, call: Sides, carol: Stranger, value: str | None, status: int
) -> None:
    OutOfDialogRefer(bob.endpoint)
    refer(carol, bob, 1, Target_Dialog=value)
    network.run(SOON)
    assert carol.statuses("REFER") == [status]
    assert len(bob.endpoint.sessions) == 1


def test_a_target_dialog_that_ends(network: Network, alice: Party, call: Sides) -> None:
    session, _ = call
    named = request(headers={"Target-Dialog": target_of(session)})
    assert target_dialog(named, alice.endpoint.sessions) is session
    session.bye(network.now)
    assert target_dialog(named, alice.endpoint.sessions) is None


def test_malformed_refer_to_outside_a_dialog(
    network: Network, bob: Party, call: Sides, carol: Stranger
) -> None:
    OutOfDialogRefer(bob.endpoint)
    refer(carol, bob, 1, Target_Dialog=target_of(call[1]), Refer_To=None)
    network.run(SOON)
    assert carol.statuses("REFER") == [400]
    end(network, call[0])


def test_reports_do_not_mix(network: Network, alice: Party, bob: Party, call: Sides) -> None:
    """Two REFERs in one dialog have ids (RFC 3515 section 2.4.6)."""
    session, _ = call
    first = session.refer(network.now, "sip:dave@example.com")
    second = session.refer(network.now, "sip:erin@example.com")
    network.run(SOON)
    one, two = bob.take(Referred).refer, bob.take(Referred).refer
    two.accept(network.now)
    one.accept(network.now)
    network.run(SOON)
    two.notify(network.now, 486)
    one.notify(network.now, 200)
    network.run(SOON)
    reports = [e for e in alice.events if isinstance(e, ReferProgressed) and e.final]
    assert {(r.refer.target, r.status) for r in reports} == {
        (first.target, 200),
        (second.target, 486),
    }
