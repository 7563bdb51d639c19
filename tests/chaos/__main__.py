"""The command: `python -m tests.chaos`."""

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos.kills import kill_often
from tests.chaos.vanish import vanish
from tests.support.postgres import Cluster


def main() -> int:
    """Run; 0 when each call has the record it must have, and none two."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="SIPp calls a server that is killed (kill -9) and started again at random "
        "moments; then its records are compared with the Call-IDs in SIPp's log.",
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--store",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="postgres: the records in PostgreSQL, which is stopped, crashed and frozen as well",
    )
    parser.add_argument("--vanish", type=int, metavar="CALLS", help="kill SIPp, on both sides")
    options = parser.parse_args()
    started = time.perf_counter()
    database = Cluster(durable=True) if options.store == "postgres" else nullcontext()
    with TemporaryDirectory(prefix="callsim-chaos-") as folder, database as cluster:
        if options.vanish is not None:
            vanished = vanish(Path(folder), options.vanish, options.rate)
            print(vanished)
            return 0 if vanished.good else 1
        verdict = kill_often(
            Path(folder),
            kills=options.kills,
            rate=options.rate,
            seed=options.seed,
            cluster=cluster,
        )
    print(
        f"{options.kills} kills at {options.rate:g} calls/s, seed {options.seed}, "
        f"store {options.store}"
    )
    print(verdict)
    print(f"{time.perf_counter() - started:.1f} s")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
