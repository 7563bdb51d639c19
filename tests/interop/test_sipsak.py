"""sipsak asks whether the server is there, as monitoring does."""

import subprocess

import pytest

from tests.interop.conftest import ExchangeFactory


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_options(exchange: ExchangeFactory, transport: str) -> None:
    """RFC 3261 11.2: 200, with what the server can do."""
    line = exchange(transports=["tcp"])
    host, port = line.server.listeners[transport]
    done = subprocess.run(
        ["sipsak", "-vv", "-E", transport, "-r", str(port), "-s", f"sip:ping@{host}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    request, response = line.finish()
    assert (request.name, response.name) == ("OPTIONS", "200 OPTIONS")
    assert {request.transport, response.transport} == {transport}
    assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"} < set(response.header("Allow").split(", "))
    assert response.header("Accept") == "application/sdp"


@pytest.mark.parametrize(
    ("password", "outcome"), [("secret", "200 REGISTER"), ("no", "403 REGISTER")]
)
def test_log_in(exchange: ExchangeFactory, password: str, outcome: str) -> None:
    """RFC 3261 10.3 and 22.2: a binding, for whom has the password."""
    line = exchange(
        settings={
            "sip.authentication.users.1001": "secret",
            "sip.authentication.algorithms": "MD5",
        }
    )
    host, port = line.server.sip
    done = subprocess.run(
        [
            *("sipsak", "-U", "-s", f"sip:1001@{host}:{port}", "-u", "1001", "-a", password),
            *("-C", f"sip:1001@{host}:9", "-x", "120", "-vv"),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode == 0) == (outcome[:3] == "200"), done.stdout + done.stderr
    names = [message.name for message in line.finish()]
    assert names == ["REGISTER", "401 REGISTER", "REGISTER", outcome]
