"""The audit of the pinned packages, against a vulnerability service on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.supply.__main__ import main
from tests.supply.audit import LOCKS, Audit, audit

# As OSV answers a query by package and version.
AGAINST_AIOHTTP = {
    "id": "PYSEC-2026-1",
    "summary": "a request may do what it must not",
    "affected": [
        {
            "package": {"name": "aiohttp", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]},
            ],
        }
    ],
}


class _Service(BaseHTTPRequestHandler):
    against = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hit = asked["package"]["name"] == self.against
        body = json.dumps({"vulns": [AGAINST_AIOHTTP]} if hit else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def service(against: str) -> Iterator[list[str]]:
    """The options that have pip-audit ask it."""
    handler = type("Handler", (_Service,), {"against": against})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield [f"--osv-url=http://127.0.0.1:{server.server_port}/v1/query"]
        server.shutdown()
        thread.join()


def asked(options: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, Audit]:
    """The exit code of `make audit`, and what it found."""
    found = audit(LOCKS[:1], options)
    monkeypatch.setattr("tests.supply.__main__.audit", lambda _: found)
    return main(), found


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is here, whatever the machine has for others."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


def test_a_finding_fails_and_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    with service("aiohttp") as options:
        code, found = asked(options, monkeypatch)
    assert code == 1
    assert str(found).startswith(
        f"pip-audit: {len(found.known)} packages, 1 vulnerabilities\naiohttp "
    )
    assert "PYSEC-2026-1, mended in 99.1" in str(found)


def test_without_a_network_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"--osv-url=http://127.0.0.1:{taken.getsockname()[1]}/v1/query"
        code, found = asked([url], monkeypatch)
    assert (code, found.known) == (2, [])
    assert str(found).startswith("pip-audit: NOT DONE, nobody has looked at the packages: ")


def test_a_lock_without_hashes_is_not_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock.txt").write_text("aiohttp==3.14.5\n")
    found = audit([tmp_path / "lock.txt"])
    monkeypatch.setattr("tests.supply.__main__.audit", lambda _: found)
    assert main() == 2
    assert "NOT DONE" in str(found)
    assert "hash" in str(found)


def test_what_nobody_looked_at_is_named() -> None:
    found = Audit(known=["aiohttp 3.14.5"], unknown=["own-package"])
    assert str(found).endswith("NOT audited, unknown to the service: own-package")
    assert "NOT DONE" in str(Audit(unknown=["aiohttp"]))
    assert str(Audit(known=["aiohttp 3.14.5"])) == "pip-audit: 1 packages, 0 vulnerabilities"
