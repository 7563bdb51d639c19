"""The mix through a `callsim serve` process: real sockets, a real clock, commands over HTTP."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from scenarios.server import RestError, ServerProcess
from simulator.views import TransferCommand
from tests.soak.mix import LONG_OVER, PATIENCE, REASONS, Mix
from tests.support.wire import WireNetwork


class WireMix(Mix):
    """`callsim serve` on loopback, phones on real sockets, commands over HTTP."""

    def __init__(self, directory: Path, seed: int, calls: int, rate: float) -> None:
        super().__init__(WireNetwork(), seed, calls, rate)
        file = directory / "plan.yaml"
        file.write_text(self.config().to_yaml(comments=False))
        self.server = ServerProcess(directory, options=["--config", str(file)])
        self.address = "{}:{}".format(*self.server.sip)

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

    def is_over(self) -> bool:
        """Whether nothing is left at the phones: their timers are the longest."""
        return not super().leftovers()

    def is_up(self, guid: str) -> bool:
        return guid in self.placed

    def rest(self, guid: str) -> list[tuple[str, Callable[[], object]]]:
        found: list[tuple[str, Callable[[], object]]] = [
            (name, partial(self._transfer, guid, self.transfer_command(kind, label=label)))
            for name, kind, label in (
                ("blind", "blind", False),
                ("consultation", "consultation", False),
                ("label", "blind", True),
            )
        ]
        ecc = {"eccVariables": {"user.tier": "1"}}
        reason = {"reason": self.random.choice(REASONS)}
        found.append(("variables", partial(self._ask, "PUT", f"/call/{guid}/variables", ecc)))
        found.append(("terminate", partial(self._ask, "POST", f"/call/{guid}/terminate", reason)))
        for name in ("hold", "resume", "transfer/complete", "transfer/cancel"):
            command = partial(self._extension, f"/sim/v1/calls/{guid}/{name}")
            found.append((name.removeprefix("transfer/"), command))
        return found

    def _transfer(self, guid: str, what: TransferCommand) -> None:
        body = {"destination": what.destination, "transferType": what.transfer_type}
        self._ask(
            "POST", f"/call/{guid}/transfer", body | ({"label": what.label} if what.label else {})
        )

    def _ask(self, method: str, path: str, body: object) -> None:
        with suppress(RestError):  # refused: 404, 409
            self.server.rest(method, path, body)

    def _extension(self, path: str) -> None:
        with suppress(RestError):
            self.server.extension("POST", path)
