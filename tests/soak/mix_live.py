"""The mix through a `callsim serve` process: real sockets, a real clock, commands over HTTP."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, ClassVar

from scenarios.server import RestError, ServerProcess
from simulator.errors import CallServerError
from simulator.views import TransferCommand
from tests.soak.mix import LONG_OVER, PATIENCE, Mix
from tests.soak.mix_plan import ANSWERS
from tests.support.wire import WireNetwork


class _Decider(BaseHTTPRequestHandler):
    """The router of the user; what is a problem to be is status 500."""

    random: ClassVar[Random]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A question."""
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.random.choice(ANSWERS)
        body = json.dumps(answer).encode()
        self.send_response(500 if isinstance(answer, str) else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the verdict tells."""


@contextmanager
def deciding(seed: int) -> Iterator[str]:
    """A router of the user on loopback: its URL."""
    handler = type("Decider", (_Decider,), {"random": Random(seed)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


class WireMix(Mix):
    """`callsim serve` on loopback, phones on real sockets, commands over HTTP.

    `webhook` is the URL of the router of the user.
    """

    def __init__(self, directory: Path, seed: int, calls: int, rate: float, webhook: str) -> None:
        super().__init__(WireNetwork(), seed, calls, rate)
        self._file = directory / "plan.yaml"
        self._webhook = webhook
        self._write()
        self.server = ServerProcess(directory, options=["--config", str(self._file)])
        self.address = "{}:{}".format(*self.server.sip)
        self._epoch = time.time() - time.monotonic()

    def _write(self) -> None:
        config = self.config()
        hook = config.icm.webhook.model_copy(update={"url": self._webhook})
        icm = config.icm.model_copy(update={"webhook": hook})
        self._file.write_text(config.model_copy(update={"icm": icm}).to_yaml(comments=False))

    @property
    def epoch(self) -> float:
        return self._epoch

    @property
    def delay(self) -> float:
        return 0.0

    def finish(self) -> None:
        """Until nobody has anything left, or it has taken too long; then judge all records."""
        network = self.network
        network.run(self.calls / self.rate + PATIENCE)
        network.run(LONG_OVER, until=self.is_over)
        self.wrong += [f"left over: {one}" for one in self.server.calls()]
        self.wrong += [f"left over: {one}" for one in self.server.sessions()]
        self.server.stop()
        records = self.server.cdrs()
        for record in records:
            if self.placed.pop(record.call_guid, None) is None:
                self.wrong.append(f"{record.call_guid} has two records, or nobody placed it")
        for last in (False, True):  # a leg may have moved to a call whose record came before
            for record in records:
                self.judge(record, again=False) if last else self.gather(record.call_guid)

    def reconfigure(self) -> None:
        self._write()
        os.kill(self.server.pid, signal.SIGHUP)

    def is_over(self) -> bool:
        """Whether nothing is left at the phones: their timers are the longest."""
        return not super().leftovers()

    def is_up(self, guid: str) -> bool:
        return guid in self.placed

    def transfer(self, guid: str, command: TransferCommand) -> None:
        body = {"destination": command.destination, "transferType": command.transfer_type}
        label = {"label": command.label} if command.label else {}
        self._ask("POST", f"/call/{guid}/transfer", body | label)

    def terminate(self, guid: str, reason: Any) -> None:
        self._ask("POST", f"/call/{guid}/terminate", {"reason": reason})

    def set_variables(self, guid: str, ecc: dict[str, str]) -> None:
        self._ask("PUT", f"/call/{guid}/variables", {"eccVariables": ecc})

    def extension(self, guid: str, operation: str) -> None:
        try:
            self.server.extension("POST", f"/sim/v1/calls/{guid}/{operation}")
        except RestError as error:
            raise CallServerError(str(error)) from None

    def _ask(self, method: str, path: str, body: object) -> None:
        try:
            self.server.rest(method, path, body)
        except RestError as error:
            raise CallServerError(str(error)) from None
