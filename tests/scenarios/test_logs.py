"""What a server writes to standard error about calls that it authenticates, at the lowest level."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from scenarios.runner import SippRun
from scenarios.server import AUTHORIZATION, ServerProcess

SECRETS = ("secret", "hunter2", AUTHORIZATION.partition(" ")[2])


def test_json_lines_without_secrets(
    callsim_server: Callable[..., ServerProcess],
    sipp: Callable[..., SippRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both ways of digest authentication, and REST with a password."""
    monkeypatch.setenv("CALLSIM_LOG_LEVEL", "debug")
    callee = sipp("callee-asks-who-calls")
    server = callsim_server(
        routes={">": callee.uri},
        settings={
            "log.format": "json",
            "sip.authentication.users.1000": "secret",
            "sip.authentication.algorithms": "MD5",
            "sip.credentials": "[{user: callsim, password: secret, realm: gateway}]",
            "api.users": "[test:test, me:hunter2]",
        },
    )
    caller = sipp("caller-authenticates", server.sip, hold_ms=300)
    caller.check()
    callee.check()
    guid = server.cdrs()[0].call_guid
    server.wait_until_idle()
    text = (server.directory / "stderr.log").read_text()
    entries: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in entries)
    assert not [secret for secret in SECRETS if secret in text]
    events = [entry["event"] for entry in entries if entry.get("callGuid") == guid]
    assert events[:2] == ["offered", "routed"]
    assert events[-1] == "ended"
    assert {"leg_placed", "leg_answered", "leg_ended"} <= {*events}
