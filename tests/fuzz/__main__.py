"""The command: `python -m tests.fuzz`."""

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.fuzz.protos import Outcome, run_protos
from tests.fuzz.run import ROUND, Report, run
from tests.fuzz.wire import run_over_udp


def main() -> int:
    """Run; 0 when nothing was raised, hung or left behind."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Damaged datagrams through parser and endpoint, and over UDP to a live "
        "server on 127.0.0.1. RFC4475_VECTORS names the folder of the torture messages.",
    )
    parser.add_argument("--datagrams", type=int, default=300_000, help="in this process")
    parser.add_argument("--wire", type=int, default=20_000, help="datagrams to the live server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--protos",
        action="store_true",
        help="instead: each field of each message with each anomaly, to a live server",
    )
    parser.add_argument("--transports", default="UDP,TCP,TLS", help="of --protos")
    parser.add_argument("--every", type=int, default=1, help="of --protos: one case in so many")
    parser.add_argument("--round", type=int, help="this round alone, to see a finding again")
    options = parser.parse_args()
    if options.protos:
        transports = options.transports.upper().split(",")
        return _show("each field, each anomaly", run_protos(transports, options.every))
    if options.round is not None:
        return _show("round", run(options.seed, range(options.round, options.round + 1)))
    failed = 0
    if options.datagrams:
        failed += _show("in process", in_process(options))
    if options.wire:
        failed += _show("over UDP", run_over_udp(options.seed, options.wire))
    return min(failed, 1)


def in_process(options: argparse.Namespace) -> Report:
    """The rounds shared out among processes."""
    count = options.processes
    rounds = max(1, options.datagrams // ROUND)
    report = Report()
    started = time.perf_counter()
    # What a peer's nonsense has the stack warn of is not what this run is about.
    with ProcessPoolExecutor(
        count, get_context("spawn"), logging.disable, (logging.WARNING,)
    ) as pool:
        shares = [range(first, rounds, count) for first in range(min(count, rounds))]
        for part in pool.map(run, [options.seed] * len(shares), shares):
            report.add(part)
    report.seconds = time.perf_counter() - started
    return report


def _show(title: str, report: Report | Outcome) -> int:
    print(f"== {title} ==\n{report}")
    for finding in report.findings:
        print(finding)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
