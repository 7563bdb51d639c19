"""Who may do what: the role of a user against the role that an operation declares."""

import re
from typing import Any

import pytest

from api.app import GROUPS
from api.openapi import document
from api.operations import Operation
from simulator.config_base import Role, User
from tests.api.support import GUID, FakeCallServer, basic, run, serving

USERS = (
    User("reader", "r", "read"),
    User("steering", "c", "control"),
    User("boss", "a", "admin"),
    User("old", "o"),
)
LOGIN = {user.name: basic(user) for user in USERS}

CONTROL = set(
    "transferCall terminateCall setCallVariables completeTransfer cancelTransfer holdCall "
    "resumeCall originateCall terminateCalls setAgentState".split()
)
ADMIN = set(
    "createWebhook deleteWebhook redeliverDeadLetters resetServer setLogLevels getAuditTrail "
    "listBans liftBans "
    "listWebhooks getWebhook listDeadLetters "
    "createDialedNumberPattern updateDialedNumberPattern deleteDialedNumberPattern "
    "createSipServerGroup updateSipServerGroup deleteSipServerGroup".split()
)
DECLARED = {op.operation_id: op for group in GROUPS for op in group.declared}


def path_of(operation: Operation) -> str:
    path = operation.group.prefix + operation.path
    return re.sub(r"\{\w+\}", "x", path.replace("{callGuid}", GUID))


def test_the_operations_that_take_more_than_reading() -> None:
    roles = {name: op.role for name, op in DECLARED.items()}
    assert {name for name in CONTROL if roles[name] == "control"} == CONTROL
    assert {name for name in ADMIN if roles[name] == "admin"} == ADMIN
    assert roles["routingLookup"] == "read"


def test_a_get_is_for_everybody_but_where_secrets_may_show_and_what_changes_things_is_not() -> None:
    """What is declared without a role takes the highest that it could."""
    for name, operation in DECLARED.items():
        if operation.method == "GET":
            assert operation.role == ("admin" if name in ADMIN else "read"), name
        elif name not in CONTROL and name != "routingLookup":
            assert operation.role == "admin", name


@pytest.mark.parametrize("name", [n for n, op in DECLARED.items() if op.role != "read"])
@run
async def test_who_may_less_is_refused_before_anything_is_done(name: str) -> None:
    operation = DECLARED[name]
    refused = ["reader"] if operation.role == "control" else ["reader", "steering"]
    fake = FakeCallServer()
    async with serving(fake, users=USERS) as client:
        for user in refused:
            role = "read" if user == "reader" else "control"
            reply = await client(
                operation.method, path_of(operation), headers=LOGIN[user], data=b"nonsense"
            )
            details = reply.error(403, "ROLE_NEEDED")
            assert details == f"this takes the role {operation.role}; the user has {role}"
        assert len(fake.administration.trail.entries) == 0
    assert fake.asked == []


@pytest.mark.parametrize(
    ("user", "method", "path", "body", "status"),
    [
        ("reader", "get", "/cvp/rest/call", None, 200),
        ("reader", "post", "/cvp/rest/routing/lookup", {"dialedNumber": "7000"}, 200),
        ("reader", "get", "/sim/v1/log", None, 200),
        ("reader", "get", "/oamp/rest/dialedNumberPattern", None, 200),
        ("reader", "head", "/cvp/rest/health", None, 200),
        ("reader", "get", "/nowhere", None, 404),
        ("reader", "delete", "/cvp/rest/call", None, 405),
        ("steering", "get", "/cvp/rest/call", None, 200),
        ("steering", "post", f"/cvp/rest/call/{GUID}/terminate", None, 200),
        ("steering", "put", "/sim/v1/agents/1001", {"state": "not_ready"}, 200),
        ("boss", "post", f"/cvp/rest/call/{GUID}/terminate", None, 200),
        ("boss", "post", "/sim/v1/reset", None, 200),
        ("boss", "get", "/sim/v1/audit", None, 200),
        ("old", "post", "/sim/v1/reset", None, 200),
    ],
)
@run
async def test_who_may_does(user: str, method: str, path: str, body: Any, status: int) -> None:
    async with serving(FakeCallServer(), users=USERS) as client:
        reply = await client(method, path, headers=LOGIN[user], json=body)
    assert reply.status == status, reply.text


@run
async def test_a_reader_gets_no_answer_that_another_user_has_paid_for() -> None:
    """Idempotency keys are a user's own, and come after the role."""
    path, key = f"/cvp/rest/call/{GUID}/terminate", {"Idempotency-Key": "one"}
    async with serving(FakeCallServer(), users=USERS) as client:
        assert (await client("post", path, headers=LOGIN["steering"] | key)).status == 200
        (await client("post", path, headers=LOGIN["reader"] | key)).error(403)


@run
async def test_who_needs_no_password_may_read_and_no_more() -> None:
    async with serving(FakeCallServer(), users=USERS, health_public=True) as client:
        assert (await client("get", "/cvp/rest/health", login=False)).status == 200
        (await client("post", "/sim/v1/reset", login=False)).error(401)


@pytest.mark.parametrize(
    ("user", "role"), [("reader", "read"), ("steering", "control"), ("old", "admin")]
)
@run
async def test_a_user_is_told_what_that_user_may_do(user: str, role: str) -> None:
    async with serving(FakeCallServer(), users=USERS) as client:
        reply = await client("get", "/sim/v1/user", headers=LOGIN[user])
        assert (reply.status, reply.json) == (200, {"name": user, "role": role})
        (await client("get", "/sim/v1/user", login=False)).error(401)


def test_the_document_names_the_role_of_each_operation() -> None:
    paths = document(GROUPS)["paths"]
    shown: dict[str, Role] = {
        operation["operationId"]: operation["x-role"]
        for item in paths.values()
        for method, operation in item.items()
        if method != "servers"
    }
    assert shown == {name: operation.role for name, operation in DECLARED.items()}
