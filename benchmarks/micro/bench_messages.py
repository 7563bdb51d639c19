"""Parsing, and what is written by hand: heads, SDP."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro import wire
from sip.dialog import Dialog
from sip.message import Request, parse
from sip.offer_answer import fast_answer

INVITE = wire.invite(1)
MESSAGES = {
    "INVITE": INVITE,
    "200": wire.response(INVITE, b"200 OK", b"tag", wire.OFFER),
    "BYE": wire.in_dialog(b"BYE", 1, 2, b"tag"),
}


def _invite() -> tuple[tuple[Request], dict[str, object]]:
    message = parse(INVITE)
    assert isinstance(message, Request)
    return (message,), {}


@pytest.mark.parametrize("name", MESSAGES)
def bench_parse(benchmark: BenchmarkFixture, name: str) -> None:
    """Octets to a message that has been checked."""
    message = benchmark(parse, MESSAGES[name])
    assert message.defect is None


def bench_dialog_of_invite(benchmark: BenchmarkFixture) -> None:
    """The callee's dialog, of an INVITE that nobody has looked into yet."""
    dialog = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda request: Dialog.from_request(request, "tag"), setup=_invite, rounds=5000
    )
    assert dialog.remote_tag == "1SIPpTag001"


def bench_head_of_bye(benchmark: BenchmarkFixture) -> None:
    """A request within a dialog, up to Content-Length."""
    (request,), _ = _invite()
    dialog = Dialog.from_request(request, "tag")
    via = "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport"
    uri, head = benchmark(dialog.request_head, "BYE", 1, via, "User-Agent: Callsim/bench\r\n")
    assert uri == "sip:sipp@127.0.0.1:7000"
    assert "tag=1SIPpTag001" in head


def bench_sdp_answer(benchmark: BenchmarkFixture) -> None:
    """The answer to a usual offer."""
    answer = benchmark(fast_answer, wire.OFFER, "127.0.0.1", 9, 1)
    assert b"m=audio 9 RTP/AVP 0" in answer
