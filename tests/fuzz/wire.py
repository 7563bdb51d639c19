"""A smaller run over UDP, to a `callsim serve` of its own on 127.0.0.1."""

import socket
import tempfile
import time
from pathlib import Path
from random import Random

from scenarios.server import ServerProcess
from tests.fuzz.mutate import Mutator
from tests.fuzz.run import Report, resident
from tests.fuzz.scene import Scene
from tests.support.live import PATIENCE, probe

_BATCH = 50  # datagrams between two OPTIONS, fewer than the socket's buffer holds
_WARM = 0.2  # share of the run after which memory is measured


def run_over_udp(seed: int, size: int) -> Report:
    """Send `size` datagrams; after each batch the server must answer an OPTIONS."""
    report = Report()
    mutator = Mutator(Scene().messages, Random(f"{seed} wire"))
    with (
        tempfile.TemporaryDirectory() as directory,
        ServerProcess(Path(directory), settings={"sip.t1": 0.05}) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        peer.settimeout(PATIENCE)
        started = time.perf_counter()
        while report.datagrams < size:
            batch = [mutator.next() for _ in range(min(_BATCH, size - report.datagrams))]
            before = time.perf_counter()
            for data in batch:
                peer.sendto(data, server.sip)
            try:
                _await_answer(peer, server.sip)
            except TimeoutError:
                report.exceptions += 1
                report.find(f"seed {seed}: no answer after {batch!r}\n{server.errors}\n")
                break
            report.longest = max(report.longest, (time.perf_counter() - before) / len(batch))
            report.datagrams += len(batch)
            report.octets += sum(map(len, batch))
            if report.memory_before == 0 and report.datagrams >= size * _WARM:
                report.memory_before = resident(server.pid)
        report.seconds = time.perf_counter() - started
        server.wait_until_idle()
        report.memory_after = resident(server.pid)
        # Warnings are as they should be: NOTIFY goes where Contact says, which need not exist.
        lines = server.errors.splitlines()
        errors = [line for line in lines if "Traceback" in line or " ERROR " in line]
        if errors:
            report.exceptions += 1
            report.find(f"seed {seed}: the server complained: {errors}\n")
    return report


def _await_answer(peer: socket.socket, server: tuple[str, int]) -> None:
    call_id, options = probe("UDP")
    peer.sendto(options, server)
    wanted = f"Call-ID: {call_id}\r\n".encode()
    while wanted not in peer.recv(65_535):
        pass
