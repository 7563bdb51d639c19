"""Applications of ICM scripts on a VXML gateway: RUN_SCRIPT_REQ and RUN_SCRIPT_RESULT."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.script_messages import INFO_PACKAGE, JSON, PACKAGE
from sip.usage.session import SDP
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Line, Manner
from tests.simulator.flows.world import SOON, World

SCRIPTS = {
    "icm": {
        "scripts": {
            "support": [
                {"self_service": {"application": "menu", "seconds": "60"}},
                {"queue": {"skill_group": "support"}},
            ],
            "two": [
                {"self_service": {"application": "first"}},
                {"self_service": {"application": "second"}},
            ],
            "branch": [
                {"self_service": {"application": "menu", "seconds": 5, "on_failure": "agent"}},
                {"self_service": {"application": "goodbye", "on_failure": "agent"}},
                {"name": "agent", "connect": {"label": "1001"}},
            ],
        }
    },
    "dialed_numbers": [
        {"pattern": "7>", "script": "support"},
        {"pattern": "4>", "script": "two"},
        {"pattern": "6>", "label": "1001"},
        {"pattern": "8>", "script": "branch"},
    ],
}

NEW_CALL = ("user.media.id", "user.cvp_server_info")


class Gateway:
    """A VXML gateway that takes the package, driven by a test."""

    def __init__(self, build: Build, **sections: Any) -> None:
        self.world: World = build(**SCRIPTS, **sections)
        self.world.vxml.manner = Manner(answer=None)

    def call(self, number: str = "7000", lines: str = "", *, package: str = PACKAGE) -> Line:
        """The caller is with the gateway; returns the caller's side."""
        caller = self.world.dial(number, lines=lines)
        self.world.run()
        self.answer(package)
        return caller

    def answer(self, package: str = PACKAGE) -> None:
        line = self.line
        body = line.media.answer(line.invite.body)
        lines = f"Recv-Info: {package}\r\n" if package else ""
        line.session.answer(self.world.network.now, body, lines)
        self.world.run()

    @property
    def line(self) -> Line:
        return self.world.vxml.line

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The RUN_SCRIPT_REQ that came, all in INFO of the package."""
        infos = [r for r in self.line.requests if r.method == "INFO"]
        assert all(r.get("info-package") == PACKAGE for r in infos)
        assert all(r.content_type == JSON for r in infos)
        return [json.loads(r.body) for r in infos]

    def result(self, number: int = 1, **more: Any) -> int:
        """RUN_SCRIPT_RESULT; returns the status that it is answered with."""
        body = {"type": "RUN_SCRIPT_RESULT", "id": number, **more}
        return self.send(json.dumps(body).encode())

    def send(self, body: bytes) -> int:
        self.line.request("INFO", body, JSON, INFO_PACKAGE)
        self.world.run()
        return self.line.responses[-1].status

    @property
    def history(self) -> list[str]:
        return [event for _, event, _ in self.world.call.history]

    @property
    def ecc(self) -> dict[str, str]:
        """The ECC variables besides those of NEW_CALL."""
        variables = self.world.call.variables
        found = variables.ecc if variables is not None else {}
        return {name: value for name, value in found.items() if name not in NEW_CALL}


@pytest.fixture
def gateway(build: Build) -> Iterator[Gateway]:
    gateway = Gateway(build)
    yield gateway
    if gateway.world.state != "ended":
        gateway.world.caller.line.hang_up()
        gateway.world.run()
    gateway.world.over()


def test_the_invite_to_the_vru_offers_the_package(gateway: Gateway) -> None:
    """RFC 6086 section 4.1: who takes a package lists it in Recv-Info."""
    gateway.call()
    assert gateway.line.invite.get("recv-info") == PACKAGE


def test_a_request_comes_once_the_ack_is_through(gateway: Gateway) -> None:
    gateway.call()
    assert gateway.requests == [
        {
            "type": "RUN_SCRIPT_REQ",
            "id": 1,
            "application": "menu",
            "variables": {
                "ani": "5551234",
                "dnis": "7000",
                "callid": gateway.world.call.guid,
                "user.media.id": gateway.world.call.guid,
                "user.cvp_server_info": gateway.world.party.listener.host,
            },
        }
    ]
    heard = gateway.line.heard
    assert heard.index("Acknowledged") < heard.index("Requested")


def test_the_caller_does_not_hear_of_the_package(gateway: Gateway) -> None:
    caller = gateway.call()
    (answer,) = (r for r in caller.responses if r.status == 200)
    assert answer.get("recv-info") is None


def test_other_packages_pass(gateway: Gateway) -> None:
    caller = gateway.call(lines="Recv-Info: trace\r\n", package="other")
    assert caller.responses[-1].get("recv-info") == "other"
    assert gateway.line.invite.all("recv-info") == ["trace", PACKAGE]
    assert gateway.requests == []


def test_a_gateway_without_the_package_is_asked_nothing(gateway: Gateway) -> None:
    caller = gateway.call(package="")
    gateway.world.run(2)
    assert gateway.requests == []
    assert gateway.world.state == "self_service"
    gateway.line.hang_up()
    gateway.world.run()
    gateway.answer(package="")
    assert gateway.world.state == "queued", "BYE ends the application"
    caller.hang_up()
    gateway.world.run()
    gateway.world.over()
    assert gateway.world.cdr.application_count == 1


def test_the_result_leads_on_and_the_caller_stays(gateway: Gateway) -> None:
    gateway.call()
    assert gateway.result(result={"caller_input": "2", "error_code": "0"}) == 200
    assert gateway.world.state == "queued"
    assert len(gateway.world.vxml.lines) == 1, "the queue is on the same leg"
    assert gateway.ecc == {"user.microapp.caller_input": "2", "user.microapp.error_code": "0"}


def test_results_become_variables(gateway: Gateway) -> None:
    gateway.call()
    gateway.result(
        result={
            "FromExtVXML[0]": "gold",
            "user.customer": "42",
            "callVariable3": "x",
        }
    )
    assert gateway.ecc == {"user.microapp.FromExtVXML[0]": "gold", "user.customer": "42"}
    variables = gateway.world.call.variables
    assert variables is not None
    assert variables.call == {"callVariable3": "x"}


def test_a_result_that_is_too_long_for_its_variable(gateway: Gateway) -> None:
    gateway.call()
    assert gateway.result(result={"callVariable1": "x" * 41}) == 200
    assert "variable_refused" in gateway.history
    assert gateway.world.state == "queued"


def test_what_came_of_it_stands_in_the_cdr(gateway: Gateway) -> None:
    caller = gateway.call()
    gateway.result(result={}, timeouts=2, errors=1)
    caller.hang_up()
    gateway.world.run()
    gateway.world.over()
    record = gateway.world.cdr
    counts = (record.application_count, record.timeout_count, record.error_count)
    assert counts == (1, 2, 1)


def test_each_application_is_a_session_of_the_record(gateway: Gateway) -> None:
    """Rows of VXMLSession: the first came to its end, the second failed."""
    gateway.call("4000")
    gateway.result(result={"error_code": "0"})
    gateway.world.run(1.0)
    gateway.result(2, result={"error_code": "noinput"}, failed=True)
    gateway.world.run()
    gateway.world.over()
    rows = gateway.world.cdr.vxml_sessions
    assert [(row.app_name, row.cause_id) for row in rows] == [("first", 1), ("second", 18)]
    assert rows[0].start_time < rows[0].end_time == rows[1].start_time < rows[1].end_time
    assert rows[1].end_time - rows[1].start_time >= 1000


def test_a_call_without_applications_counts_none(build: Build) -> None:
    world = build()
    caller = world.connected()
    caller.hang_up()
    world.run()
    world.over()
    record = world.cdr
    counts = (record.application_count, record.timeout_count, record.error_count)
    assert counts == (0, 0, 0)


def test_an_application_that_failed_is_an_error(gateway: Gateway) -> None:
    caller = gateway.call()
    gateway.result(result={"error_code": "noinput"}, failed=True, timeouts=3)
    assert gateway.ecc == {"user.microapp.error_code": "noinput"}
    caller.hang_up()
    gateway.world.run()
    gateway.world.over()
    assert (gateway.world.cdr.timeout_count, gateway.world.cdr.error_count) == (3, 1)


def test_one_application_after_the_other(gateway: Gateway) -> None:
    gateway.call("4000")
    assert gateway.requests[-1]["application"] == "first"
    gateway.result(result={"user.a": "1"})
    assert [r["application"] for r in gateway.requests] == ["first", "second"]
    assert gateway.requests[-1]["id"] == 2
    assert gateway.requests[-1]["variables"]["user.a"] == "1"
    gateway.result(2, result={})
    assert gateway.world.state == "ended"
    gateway.world.over()
    assert gateway.world.cdr.application_count == 2


def test_a_result_of_an_application_that_is_over_changes_nothing(gateway: Gateway) -> None:
    gateway.call("4000")
    gateway.result(result={})
    assert gateway.result(1, result={"user.late": "x"}) == 200
    assert "user.late" not in gateway.ecc
    assert "result_dropped" in gateway.history
    assert gateway.world.state == "self_service"


def test_a_result_that_comes_twice_counts_once(gateway: Gateway) -> None:
    gateway.call()
    gateway.result(result={}, errors=1)
    assert gateway.result(result={}, errors=1) == 200
    assert gateway.result(0, result={}, errors=1) == 200
    ivr = gateway.world.call.ivr
    assert ivr is not None
    assert ivr.errors == 1


def test_a_result_after_the_time_of_the_step(gateway: Gateway) -> None:
    gateway.call()
    gateway.world.run(60)
    assert gateway.world.state == "queued"
    assert gateway.result(result={"caller_input": "1"}) == 200
    assert gateway.world.state == "queued"
    assert "result_dropped" in gateway.history


def test_the_variables_of_the_call_go_along(gateway: Gateway) -> None:
    world = gateway.world
    world.dial("7000", lines="X-Customer: 42\r\n")
    world.run()
    world.server.set_variables(
        world.call.guid,
        {
            "user.microapp.ToExtVXML[0]": "lang=de;tier = gold",
            "user.microapp.ToExtVXML[1]": "nothing",
            "user.other": "x",
        },
        None,
        {"callVariable1": "vip"},
    )
    gateway.answer()
    variables = gateway.requests[0]["variables"]
    assert variables["lang"] == "de"
    assert variables["tier"] == "gold"
    assert variables["user.other"] == "x"
    assert variables["callVariable1"] == variables["peripheral1"] == "vip"
    assert gateway.line.invite.get("x-customer") == "42"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"type": "RUN_SCRIPT_REQ", "id": 1}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": "1"}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": 1, "result": []}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": 1, "result": {"a": 1}}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": 1, "result": {"": "x"}}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": 1, "timeouts": -1}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": 1, "failed": 1}',
        b'{"type": "RUN_SCRIPT_RESULT", "id": true}',
    ],
)
def test_a_body_that_is_no_result(gateway: Gateway, body: bytes) -> None:
    gateway.call()
    assert gateway.send(body) == 400
    assert gateway.world.state == "self_service"


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\x00", "\u2028"])
def test_a_result_with_control_characters_sets_nothing(gateway: Gateway, value: str) -> None:
    gateway.call()
    assert gateway.result(result={"user.a": value}) == 200
    assert gateway.ecc == {}
    assert "variable_refused" in gateway.history


def test_the_caller_cannot_speak_for_the_gateway(gateway: Gateway) -> None:
    """RFC 6086 section 4.2.2: 469 for a package that was not offered."""
    caller = gateway.call()
    body = b'{"type": "RUN_SCRIPT_RESULT", "id": 1, "result": {"caller_input": "1"}}'
    caller.request("INFO", body, JSON, INFO_PACKAGE)
    gateway.world.run()
    assert caller.responses[-1].status == 469
    assert gateway.world.state == "self_service"


def test_the_package_means_nothing_in_update(gateway: Gateway) -> None:
    """RFC 6086 section 7.2: Info-Package belongs to INFO; UPDATE is answered as ever."""
    caller = gateway.call()
    caller.request("UPDATE", caller.media.body(), SDP, INFO_PACKAGE)
    gateway.world.run()
    assert caller.responses[-1].status == 200
    assert gateway.line.requests[-1].method == "UPDATE"


def test_a_gateway_that_does_not_have_the_application(gateway: Gateway) -> None:
    """Without a branch for that its BYE is waited for: it may play something else."""
    gateway.world.vxml.behaves(info=488)
    caller = gateway.call()
    assert len(gateway.requests) == 1
    assert "application_not_run menu: SIP 488" in gateway.world.history
    assert gateway.world.state == "self_service"
    gateway.line.hang_up()
    gateway.world.run()
    gateway.answer(package="")
    assert gateway.world.state == "queued"
    caller.hang_up()
    gateway.world.run()
    gateway.world.over()
    assert (gateway.world.cdr.application_count, gateway.world.cdr.error_count) == (1, 1)
    (session,) = gateway.world.cdr.vxml_sessions
    assert (session.app_name, session.cause) == ("menu", "Error")


@pytest.mark.parametrize("status", [302, 405, 488, 503])
def test_an_application_that_is_refused_has_failed(gateway: Gateway, status: int) -> None:
    world = gateway.world
    world.vxml.behaves(info=status)
    caller = gateway.call("8000")
    world.run(1.5)
    assert (world.state, world.call.icm_label) == ("connected", "1001")
    assert f"script 1 self_service: failed, SIP {status}" in world.history
    caller.hang_up()
    world.run()
    world.over()
    assert (world.cdr.call_result, world.cdr.error_count) == ("completed", 1)
    assert [session.cause for session in world.cdr.vxml_sessions] == ["Error"]


def test_a_gateway_that_is_lost_is_no_refusal(gateway: Gateway) -> None:
    """481: the leg is over, and the script goes on as after its BYE."""
    world = gateway.world
    world.vxml.behaves(info=481)
    gateway.call("8000")
    assert len(world.vxml.lines) == 2
    gateway.answer(package="")
    assert (world.state, world.call.application) == ("self_service", "goodbye")


def refuse(line: Line, event: Any) -> None:
    """The gateway's late word on a RUN_SCRIPT_REQ."""
    event.transaction.respond(488, line.now)
    line.phone.network.pump()


def test_a_refusal_while_the_caller_is_being_transferred(gateway: Gateway) -> None:
    world = gateway.world
    world.agents.manners["9486"] = Manner(ring=0.0, refuse=486, answer=1.0)
    world.vxml.behaves(info=0)
    gateway.call("8000")
    world.transfer("9486")
    world.run(0.5)
    refuse(gateway.line, gateway.line.transaction)
    world.run()
    assert world.state == "transferring"
    world.run(2.5)
    assert (world.state, world.call.icm_label) == ("connected", "1001")


def test_a_refusal_of_an_application_whose_time_is_over(gateway: Gateway) -> None:
    world = gateway.world
    world.vxml.behaves(info=0)
    gateway.call("8000")
    first = gateway.line.transaction
    world.run(5.0)
    assert [r["application"] for r in gateway.requests] == ["menu", "goodbye"]
    refuse(gateway.line, first)
    world.run()
    assert world.state == "self_service"
    refuse(gateway.line, gateway.line.transaction)
    world.run(1.5)
    assert (world.state, world.call.icm_label) == ("connected", "1001")
    ivr = world.call.ivr
    assert ivr is not None
    assert ivr.errors == 1


def test_digits_of_the_caller_reach_the_gateway(gateway: Gateway) -> None:
    caller = gateway.call()
    body = b"Signal=5\r\nDuration=160\r\n"
    caller.request("INFO", body, "application/dtmf-relay")
    gateway.world.run()
    request = gateway.line.requests[-1]
    assert (request.method, request.content_type, request.body) == (
        "INFO",
        "application/dtmf-relay",
        body,
    )
    assert caller.responses[-1].status == 200


def test_after_a_requery_the_new_leg_is_asked(gateway: Gateway) -> None:
    """The gateway that the caller is on has its own word to say."""
    world = gateway.world
    world.agents.manners["1001"] = world.agents.manners["9486"]
    world.agents.manners["1002"] = world.agents.manners["9486"]
    world.agents.manners["1003"] = world.agents.manners["9486"]
    gateway.call()
    gateway.result(result={})
    world.run(4.5)
    assert len(world.vxml.lines) == 2, "the queue again"
    gateway.answer(package="")
    ivr = world.call.ivr
    assert ivr is not None
    assert ivr.leg is not world.call.peer
    world.run(SOON)
    assert gateway.requests == []


# Transfers before the caller's first ACK.


@pytest.mark.parametrize("ack_first", [True, False])
def test_a_failed_transfer_leaves_the_application_to_be_run(build: Build, ack_first: bool) -> None:
    """It was put off until the caller's ACK: a transfer that comes to nothing loses nothing."""
    gateway = Gateway(build)
    world = gateway.world
    world.agents.manners["9486"] = Manner(ring=0.0, refuse=486, answer=0.5)
    world.caller.manner = Manner(acknowledge=False)
    caller = gateway.call()
    assert (world.state, gateway.requests) == ("self_service", [])
    world.transfer("9486")
    if ack_first:
        caller.acknowledge()
        world.run()
    world.run(1.0)
    assert any(e.startswith("transfer_failed 9486") for e in world.history)
    if not ack_first:
        assert gateway.requests == [], "nothing goes to the gateway before its ACK"
        caller.acknowledge()
        world.run()
    assert [r["application"] for r in gateway.requests] == ["menu"]
    assert gateway.result() == 200
    assert world.state == "queued"
    caller.hang_up()
