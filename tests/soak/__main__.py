"""The command: `python -m tests.soak`."""

import argparse
import sys
import time

from tests.soak.calls import Play
from tests.soak.verdict import judge


def main() -> int:
    """Run; 0 when every call ended right on both sides and nothing is left."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Calls between two endpoints on a network in memory that loses, repeats "
        "and reorders packets.",
    )
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--loss", type=float, default=0.3, help="share of all packets")
    parser.add_argument("--duplication", type=float, default=0.15, help="share of all packets")
    parser.add_argument("--reordering", type=float, default=0.15, help="share of all packets")
    parser.add_argument("--rate", type=float, default=10.0, help="calls a second, virtual")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    play = Play(options.seed, options.loss, options.calls, options.calls / options.rate, keep=False)
    play.network.duplication = options.duplication
    play.network.reordering = options.reordering
    started = time.perf_counter()
    play.run()
    seconds = time.perf_counter() - started
    ends, wrong = judge(play)
    for end, count in ends.most_common():
        print(f"{count:7,} {end}")
    print(
        f"{ends.total():,} calls, {play.log.rules.packets:,} packets, {play.network.now:,.0f} s "
        f"of virtual time in {seconds:.1f} s; wrong: {len(wrong)}"
    )
    for text in wrong[:20]:
        print(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
