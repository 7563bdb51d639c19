"""What a far end does against the RFCs stands in the history of its call."""

from tests.simulator.flows.world import World
from tests.support.builders import request_text


def test_the_history_shows_an_odd_gateway(world: World) -> None:
    """An INVITE as RFC 2543 systems send it; the agent's answer is clean."""
    gateway = world.network.add_stranger("gateway")
    headers = {
        "Via": f"SIP/2.0/UDP {gateway.address[0]}:5060",
        "From": "<sip:5551234@example.org>",
        "Max-Forwards": None,
        "Contact": None,
    }
    uri = f"sip:3000@{world.party.listener.host}"
    gateway.send(world.party, request_text("INVITE", headers, uri=uri))
    world.run()
    told = [details for _, event, details in world.call.history if event == "peer_oddity"]
    assert [text.partition(" (")[0] for text in told] == [
        "caller: From has no tag",
        "caller: the branch of Via has no magic cookie",
        "caller: INVITE has no Contact",
        "caller: Max-Forwards is missing or no number",
    ]
    assert world.vxml.line.invite.get("max-forwards") == "69"
    world.run(40.0)  # nobody sends ACK
    world.over()


def test_a_clean_call_has_no_oddities(world: World) -> None:
    line = world.connected()
    assert not [event for _, event, _ in world.call.history if event == "peer_oddity"]
    line.hang_up()
