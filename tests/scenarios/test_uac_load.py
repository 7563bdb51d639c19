"""SIPp's built-in scenarios on both sides: a thousand calls, none lost, none left behind."""

from collections import Counter

from scenarios.plugin import ServerFactory, SippFactory

RATE = 50
SECONDS = 20


def test_fifty_calls_a_second(callsim_server: ServerFactory, sipp: SippFactory) -> None:
    calls = RATE * SECONDS
    callee = sipp("uas", calls=calls, seconds=SECONDS + 30)
    server = callsim_server(routes={">": callee.uri})
    caller = sipp("uac", server.sip, calls=calls, rate=RATE, seconds=SECONDS + 30)

    placed = caller.check()
    assert (placed.successful, placed.failed) == (calls, 0)
    answered = callee.check()
    assert (answered.successful, answered.failed) == (calls, 0)

    server.wait_until_idle()
    records = server.cdrs()
    assert len({record.call_guid for record in records}) == len(records) == calls
    assert Counter(record.call_result for record in records) == {"completed": calls}
    legs = Counter((leg.leg_type, leg.sip_response_code) for r in records for leg in r.legs)
    assert legs == {("inbound", 200): calls, ("outbound", 200): calls}
