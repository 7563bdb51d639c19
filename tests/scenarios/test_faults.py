"""What SIPp gets to hear when a fault rule is in force: its own log of messages says so.

All calls go to one server, which has nothing left of them in the end. What SIPp cannot take,
such as a BYE that nobody answers, is what a rule has done to it.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from scenarios.plugin import SippFactory
from scenarios.runner import LOOPBACK, SippRun, free_port
from scenarios.server import ServerProcess

FAULTS = "/sim/v1/faults"
T1 = 0.05
CALLER, CALLEE = "caller-hangs-up", "callee-answers"
QUIET = 500  # ms that a call is up, so that something can be late in it

_ENTRY = re.compile(
    r"^-{10,} (\S+ \S+)\n\w+ message (sent|received)[^\n]*\n\n(.*?)(?=^-{10,} |\Z)", re.S | re.M
)


class Heard:
    """A message that SIPp received: when, in seconds, and its text."""

    def __init__(self, time: str, text: str) -> None:
        self.time = datetime.fromisoformat(time).timestamp()
        self.text = text

    @property
    def name(self) -> str:
        """``BYE``, ``200 INVITE``."""
        first, second = self.text.split(" ", 2)[:2]
        return f"{second} {self.field('CSeq').split()[1]}" if first == "SIP/2.0" else first

    def field(self, name: str) -> str:
        """The value of a header field."""
        found = re.search(rf"^{name}: *(.*?)\r?$", self.text, re.M)
        assert found is not None, self.text
        return found[1]


class Bench:
    """One server, and SIPp on both sides of it."""

    def __init__(self, server: ServerProcess, port: int, sipp: SippFactory) -> None:
        self.server = server
        self._port = port
        self._sipp = sipp

    def fault(self, **rule: Any) -> str:
        """A rule in force; its name."""
        return str(self.server.extension("POST", FAULTS, rule, expect=201)["name"])

    def fired(self, name: str) -> int:
        """How often it has fired."""
        return int(self.rule(name)["fired"])

    def rule(self, name: str) -> Any:
        """A rule as it is now."""
        return self.server.extension("GET", f"{FAULTS}/{name}")

    def callee(self, scenario: str = CALLEE, **options: Any) -> SippRun:
        """SIPp where 2000 leads to."""
        return self._run(scenario, port=self._port, **options)

    def caller(self, scenario: str = CALLER, **options: Any) -> SippRun:
        """SIPp calls 2000."""
        return self._run(scenario, self.server.sip, **options)

    def _run(
        self, scenario: str, *arguments: Any, options: tuple[str, ...] = (), **more: Any
    ) -> SippRun:
        trace = ("-trace_msg", "-message_file", "messages.log")
        return self._sipp(scenario, *arguments, seconds=20, options=(*trace, *options), **more)

    def call(
        self, caller: str = CALLER, callee: str = CALLEE, hold_ms: int = 0
    ) -> tuple[list[Heard], list[Heard]]:
        """A call that goes well for both; what each of them heard."""
        second = self.callee(callee)
        first = self.caller(caller, hold_ms=hold_ms)
        first.check()
        second.check()
        return heard(first), heard(second)


def heard(run: SippRun, direction: str = "received") -> list[Heard]:
    """What a run of SIPp, which has ended, has received, or sent."""
    log = (run.directory / "messages.log").read_text()
    return [Heard(one[1], one[3]) for one in _ENTRY.finditer(log) if one[2] == direction]


def names(messages: list[Heard]) -> list[str]:
    """What they are, without 100."""
    return [one.name for one in messages if not one.name.startswith("100 ")]


def the(messages: list[Heard], name: str) -> Heard:
    """The first with this name."""
    return next(one for one in messages if one.name == name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, int]]:
    port = free_port()
    with ServerProcess(
        tmp_path_factory.mktemp("faults"),
        routes={"2>": f"sip:{LOOPBACK}:{port}"},
        settings={"sip.t1": T1, "sip.t2": 0.2},
        options=["--sip", f"tcp:{LOOPBACK}:0"],
    ) as server:
        yield server, port


@pytest.fixture
def bench(shared: tuple[ServerProcess, int], sipp: SippFactory) -> Iterator[Bench]:
    server, port = shared
    yield Bench(server, port, sipp)
    server.extension("DELETE", FAULTS)
    server.wait_until_idle()
    assert server.extension("GET", FAULTS) == {"faults": []}


def test_drop_what_comes_in(bench: Bench) -> None:
    rule = bench.fault(direction="in", method="INVITE", nth=1, drop=True)
    callee = bench.callee()
    caller = bench.caller()
    assert caller.check().retransmissions >= 1
    callee.check()
    assert bench.fired(rule) == 1


def test_a_lost_200_comes_again(bench: Bench) -> None:
    rule = bench.fault(set="lost-200", leg="inbound")
    caller, _ = bench.call(hold_ms=QUIET)
    found = bench.rule(rule)
    assert found["fired"] == 1
    assert names(caller).count("200 INVITE") == found["matched"] - 1 > 0


def test_no_ack_reaches_the_callee(bench: Bench) -> None:
    bench.fault(set="lost-ack", leg="outbound")
    callee = bench.callee()
    caller = bench.caller(hold_ms=2 * QUIET)
    caller.check()
    assert callee.check().retransmissions >= 1  # the 200, which T1 of SIPp (0.5 s) has sent again


def test_no_bye_reaches_the_callee(bench: Bench) -> None:
    rule = bench.fault(set="lost-bye")
    callee = bench.callee()
    bench.caller().check()
    bench.server.wait_until_idle()  # we have given up
    callee.stop()
    assert set(names(heard(callee))) == {"INVITE", "ACK"}
    assert bench.fired(rule) > 3


def test_delay(bench: Bench) -> None:
    bench.fault(set="late-200", delay={"seconds": 0.3, "jitter": 0.05})
    callee, caller = bench.callee(), bench.caller()
    caller.check()
    callee.check()
    answered = the(heard(callee, "sent"), "200 INVITE").time
    assert the(heard(caller), "200 INVITE").time - answered >= 0.3


def test_duplicate(bench: Bench) -> None:
    bench.fault(direction="out", method="INVITE", leg="outbound", duplicate=2)
    _, callee = bench.call()
    assert names(callee)[:3] == ["INVITE"] * 3


def test_reorder(bench: Bench) -> None:
    bench.fault(direction="out", leg="inbound", status="180", reorder=3)
    callee = bench.callee()
    caller = bench.caller(hold_ms=QUIET)
    caller.wait()
    callee.check()
    assert names(heard(caller))[:2] == ["200 INVITE", "180 INVITE"]


def test_answer(bench: Bench) -> None:
    bench.fault(set="all-503", number="2>")
    caller = bench.caller("caller-turned-away-expect-503")
    caller.check()
    assert the(heard(caller), "503 INVITE").field("Retry-After") == "5"
    assert bench.server.calls() == []


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ("from-tag", "From"),
        ("to-tag", "To"),
        ("branch", "Via"),
        ("cseq", "CSeq"),
        ("content-length", "Content-Length"),
    ],
)
def test_corrupt(bench: Bench, what: str, field: str) -> None:
    """The 180 is, and SIPp takes it or not; the 200 is as it should be."""
    rule = bench.fault(direction="out", leg="inbound", status="180", corrupt=what)
    callee = bench.callee()
    caller = bench.caller()
    caller.wait()
    callee.wait(5)
    messages = heard(caller)
    ringing, answer = the(messages, "180 INVITE"), the(messages, "200 INVITE")
    if what == "content-length":
        assert ringing.field(field) == "10"
        assert ringing.text.partition("\n\n")[2].strip() == ""
    else:
        assert ringing.field(field) != answer.field(field)
    assert bench.fired(rule) == 1


def test_a_dialog_falls_silent(bench: Bench) -> None:
    rule = bench.fault(set="dead-peer", leg="caller")
    callee = bench.callee()
    caller = bench.caller(options=("-max_non_invite_retrans", "2"))
    result = caller.wait()
    assert not result.good
    assert result.retransmissions >= 2  # BYE, which nobody answers
    assert set(names(heard(caller))) == {"180 INVITE", "200 INVITE"}
    callee.check()  # we end the call there, as no ACK has come
    assert bench.fired(rule) == 1


def test_a_peer_falls_silent(bench: Bench) -> None:
    bench.fault(direction="in", method="INVITE", silence="peer")
    caller = bench.caller(options=("-max_invite_retrans", "2"))
    assert not caller.wait().good
    assert heard(caller) == []


def test_close(bench: Bench) -> None:
    rule = bench.fault(direction="out", leg="inbound", status="200", method="INVITE", close=True)
    callee = bench.callee()
    address = bench.server.listeners["tcp"]
    caller = bench._sipp("uac", address, seconds=10, options=("-t", "t1", "-max_reconnect", "0"))
    assert not caller.wait().good
    assert bench.fired(rule) == 1
    callee.stop()


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"direction": "inactive"}, "a=inactive"),
        ({"port": 0}, "m=audio 0 RTP/AVP 0"),
        ({"replace": {"PCMU": "G729"}}, "RTP/AVP 18\r?\na=rtpmap:18 G729/8000"),
        ({"remove": "PCMU"}, "m=audio 0 "),
    ],
    ids=str,
)
def test_sdp(bench: Bench, change: dict[str, Any], seen: str) -> None:
    bench.fault(direction="out", leg="outbound", method="INVITE", sdp=change)
    callee = bench.callee()
    caller = bench.caller()
    for run in (callee, caller):
        run.wait(10)
    invite = the(heard(callee), "INVITE")
    assert re.search(seen, invite.text)
    body = invite.text.replace("\r\n", "\n").partition("\n\n")[2].rstrip("\n")
    assert int(invite.field("Content-Length")) == len(body.replace("\n", "\r\n")) + 2


def test_one_way_hold(bench: Bench) -> None:
    bench.fault(set="one-way-hold")
    callee = bench.callee("callee-is-held")
    caller = bench.caller("caller-holds", hold_ms=100)
    for run in (callee, caller):
        run.wait(10)
    within = [one for one in heard(callee) if one.name == "INVITE" and ";tag=" in one.field("To")]
    assert within
    assert all("a=sendrecv" in one.text and "a=sendonly" not in one.text for one in within)


def test_a_run_repeats_with_its_seed(bench: Bench) -> None:
    def run(seed: int) -> list[bool]:
        """Which of so many calls were refused; nothing is sent twice (-nr)."""
        answer = {"status": 486}
        bench.fault(direction="in", method="INVITE", probability=0.5, seed=seed, answer=answer)
        caller = bench.caller("uac", calls=20, rate=100, service="5000", options=("-nr",))
        caller.wait()
        bench.server.extension("POST", "/sim/v1/reset")
        bench.server.wait_until_idle()
        found: dict[int, bool] = {}
        for one in heard(caller):
            call = int(one.field("Call-ID").split("-")[0])
            found[call] = found.get(call, False) or one.name == "486 INVITE"
        return [found[call] for call in sorted(found)]

    first, again, other = run(3), run(3), run(4)
    assert first == again
    assert len(first) == 20
    assert set(first) == {True, False}
    assert first != other
