"""Each field with each anomaly: what is made, and a live server that takes some of it.

All of it is `make fuzz ARGS=--protos`.
"""

import asyncio
from collections import defaultdict

import pytest

from scenarios.runner import free_port
from tests.fuzz.anomalies import LONGEST, Case, cases
from tests.fuzz.callee import RESPONSES, Callee
from tests.fuzz.lines import Peer, filled, template
from tests.fuzz.protos import TRANSPORTS, Group, Pass, Run, groups, made, outside, run_protos
from tests.fuzz.seeds import MULTIPART
from tests.support.builders import request

# What the method names: overlong, repeated, empty, negative, format strings, bad UTF-8.
_TO_EACH_LINE = {
    "60,000 octets",
    "1,000 times",
    "twice",
    "empty",
    "absent",
    "negative",
    "printf",
    "overlong UTF-8",
    "cut UTF-8",
    "NUL",
}


def of_fields(message: bytes) -> dict[str, set[str]]:
    """The anomalies of each field."""
    found = defaultdict(set)
    for case in cases(message):
        found[case.field].add(case.anomaly)
    return found


def all_groups() -> list[Group]:
    callee = Callee("210", "127.0.0.1:9")
    callee(request())
    return list(groups(callee))


def test_every_field_of_every_message_has_every_anomaly() -> None:
    for group in all_groups():
        found = of_fields(group.message)
        head, _, body = group.message.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n")[1:]:
            name = line.partition(b":")[0].decode()
            assert found[name] >= _TO_EACH_LINE, (group.name, name)
            assert found[f"{name} part 1"] >= {"empty", "printf", "no UTF-8"}, (group.name, name)
        for at, row in enumerate(body.split(b"\r\n"), 1):
            fields = [one for one in found if one.split()[:3] == ["body", "line", str(at)]]
            assert (len(fields) > 1) == bool(row), (group.name, row)


def test_the_messages_are_those_that_the_server_knows() -> None:
    names = " ".join(group.name for group in all_groups())
    methods = "INVITE ACK BYE CANCEL OPTIONS REGISTER REFER SUBSCRIBE NOTIFY UPDATE INFO PRACK"
    for method in methods.split():
        assert method in names
    for status, _, _ in RESPONSES:
        assert f"{status} to INVITE" in names


def test_one_thing_is_wrong_in_a_case() -> None:
    """And the length of the body is not another."""
    message = template("INVITE", "5000", MULTIPART, {"Content-Type": "multipart/mixed;boundary=b"})
    for case in cases(message):
        assert len(case.data) < LONGEST + 5_000
        if case.field.startswith("body"):
            head, _, body = case.data.partition(b"\r\n\r\n")
            assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n"), case
    by_name = {(case.field, case.anomaly): case.data for case in cases(message)}
    assert b"\r\nCSeq: -1\r\n" in by_name["CSeq", "negative"]
    assert b"\r\nCSeq: -1 INVITE\r\n" in by_name["CSeq part 1", "negative"]
    assert b"CSeq:" not in by_name["CSeq", "absent"]
    assert by_name["CSeq", "twice"].count(b"\r\nCSeq: CSEQ-HERE INVITE") == 2
    assert b"%s%n" in by_name["body line 5 o part 1", "printf"].partition(b"\r\n\r\n")[2]


def test_no_case_names_another_machine() -> None:
    """An address of this one is replaced whole, and by no other number."""
    for group in all_groups()[::5]:
        for case in cases(group.message):
            assert b".0.0.1" not in case.data.replace(b"127.0.0.1", b""), case


def test_a_response_is_made_for_its_request() -> None:
    callee = Callee("210", "127.0.0.1:9")
    callee(request(headers={"Call-ID": "one", "From": "<sip:a@b>;tag=x1"}))
    callee.cases.append(callee.response(302, "Contact: <sip:x@CALLEE>\r\n", ""))
    second = {"Call-ID": "two", "From": "<sip:a@b>;tag=x2", "Via": "SIP/2.0/UDP h;branch=z9hG4bK2"}
    case, busy = callee(request(headers=second))
    for line in (b"Call-ID: two", b"From: <sip:a@b>;tag=x2", b"branch=z9hG4bK2", b"x@127.0.0.1:9"):
        assert line in case
    assert busy.startswith(b"SIP/2.0 486 ")


def test_a_live_server_takes_some_of_it() -> None:
    """Few of each message, over each transport."""
    outcome = run_protos(every=3_000)
    assert outcome.findings == []
    assert [one.transport for one in outcome.passes] == list(TRANSPORTS)
    for one in outcome.passes:
        assert one.groups == len(all_groups())
        assert one.messages >= one.groups
        assert one.good_calls >= one.groups
        assert one.statuses[200] >= one.good_calls
    assert 0 < outcome.memory_before <= outcome.memory_after < 2 * outcome.memory_before
    assert outcome.files_after < outcome.files_before + 10
    assert "crashes, errors, calls left: 0" in str(outcome)


def test_a_server_that_is_gone_is_found() -> None:
    result = Pass("TCP")
    run = Run(Peer("TCP", ("127.0.0.1", free_port())), Callee("210", ""), result)
    group = Group("OPTIONS", made("OPTIONS", "5000"), outside)
    asyncio.run(run.group(group, 500))
    assert "OPTIONS: ConnectionRefusedError" in result.findings[0]


@pytest.mark.parametrize("field", ["Via part 5", "Call-ID", "CSeq part 1"])
def test_what_is_damaged_stays_damaged(field: str) -> None:
    """The ids of a call are put in where the case has left them."""

    class Anywhere:
        transport = "TCP"
        local = ("127.0.0.1", 4000)

    case = next(case for case in cases(template("BYE", "5000")) if case[:2] == (field, "no UTF-8"))
    assert isinstance(case, Case)
    text = filled(case.data, Anywhere(), "id", "tag", 7, "b")  # type: ignore[arg-type]
    assert b"\xff\xfe" in text
    assert b"SIP/2.0/TCP" in text
    assert b"HERE" not in text
