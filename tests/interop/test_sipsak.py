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
