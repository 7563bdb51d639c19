"""What tshark says is on the wire, held against the octets: over UDP and in a stream."""

from scenarios.plugin import CaptureFactory, ServerFactory, SippFactory

CALLS = 20


def test_sip_over_tcp_is_cut_into_messages(
    callsim_server: ServerFactory, sipp: SippFactory, capture: CaptureFactory
) -> None:
    """Many calls on one connection: several messages share a segment."""
    agent = sipp("callee-answers", calls=CALLS)
    server = callsim_server(routes={"2>": agent.uri}, options=["--sip", "tcp:127.0.0.1:0"])
    wire = capture(server)
    caller = sipp("uac", server.listeners["tcp"], calls=CALLS, rate=1000, options=["-t", "t1"])
    caller.check()
    agent.check()
    messages = wire.check()
    streamed = [message for message in messages if message.transport == "tcp"]
    whole_call = ("INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE")
    for name in whole_call:
        assert len({m.call_id for m in streamed if m.name == name}) == CALLS, name
    assert {message.name for message in messages if message.transport == "udp"} >= set(whole_call)
    for message in messages:
        assert message.call_id == message.header("Call-ID")
        assert message.header("From").endswith(f";tag={message.from_tag}")
        _, _, to_tag = message.header("To").partition(";tag=")
        assert message.to_tag == to_tag
        assert message.header("CSeq") == f"{message.cseq[0]} {message.cseq[1]}"


def test_what_is_not_sip_is_left_out(
    callsim_server: ServerFactory, sipp: SippFactory, capture: CaptureFactory
) -> None:
    """The API may be asked from a port that somebody has on UDP."""
    agent = sipp("uas")
    server = callsim_server(routes={"2>": agent.uri})
    _, _, port = server.api.removesuffix("/cvp/rest").rpartition(":")
    wire = capture(server, int(port))
    assert server.calls() == []
    sipp("uac", server.sip).check()
    agent.check()
    assert {message.transport for message in wire.check()} == {"udp"}
