"""The command: `python -m tests.soak`."""

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.soak.calls import Play
from tests.soak.mix import RATE, Mix
from tests.soak.mix_live import WireMix, deciding
from tests.soak.mix_virtual import VirtualMix
from tests.soak.vanish import VanishMix
from tests.soak.verdict import judge

LIVE_RATE: Final = 10.0


def main() -> int:
    """Run; 0 when every call ended right on both sides and nothing is left."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Calls between two endpoints on a network in memory that loses, repeats "
        "and reorders packets; with --mix calls of all flows through a call server.",
    )
    parser.add_argument("--mix", action="store_true", help="all flows, commands, hang-ups, mixed")
    parser.add_argument("--live", action="store_true", help="the mix through `callsim serve`")
    parser.add_argument("--vanish", type=float, metavar="SHARE", help="the mix; legs lose a peer")
    parser.add_argument("--calls", type=int, help="default 10,000; 20,000 of the mix")
    parser.add_argument("--loss", type=float, default=0.3, help="share of all packets")
    parser.add_argument("--duplication", type=float, default=0.15, help="share of all packets")
    parser.add_argument("--reordering", type=float, default=0.15, help="share of all packets")
    parser.add_argument("--rate", type=float, help="calls a second, virtual; default 10, mix 20")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # calls that fail on purpose are told as faults
    started = time.perf_counter()
    if options.mix:
        wrong = _mix(VirtualMix(options.seed, options.calls or 20_000, options.rate or RATE))
    elif options.vanish is not None:
        wrong = _vanish(VanishMix(options.seed, options.calls or 10_000, options.vanish))
    elif options.live:
        with TemporaryDirectory(prefix="callsim-mix-") as folder, deciding(options.seed) as url:
            rate = options.rate or LIVE_RATE
            calls = options.calls or 300
            wrong = _mix(WireMix(Path(folder), options.seed, calls, rate, url))
    else:
        wrong = _soak(options)
    print(f"{time.perf_counter() - started:.1f} s; wrong: {len(wrong)}")
    for text in wrong[:20]:
        print(text)
    return 1 if wrong else 0


def _soak(options: argparse.Namespace) -> list[str]:
    calls = options.calls or 10_000
    play = Play(options.seed, options.loss, calls, calls / (options.rate or 10.0), keep=False)
    play.network.duplication = options.duplication
    play.network.reordering = options.reordering
    play.run()
    ends, wrong = judge(play)
    for end, count in ends.most_common():
        print(f"{count:7,} {end}")
    print(
        f"{ends.total():,} calls, {play.log.rules.packets:,} packets, {play.network.now:,.0f} s "
        "of virtual time"
    )
    return wrong


def _vanish(mix: VanishMix) -> list[str]:
    wrong = _mix(mix)
    who = ", ".join(f"{count:,} {name}" for name, count in sorted(mix.who.items()))
    print(f"vanished: {len(mix.vanished):,} legs of {mix.noticed.total():,} calls ({who})")
    print(", ".join(f"{count:,} {what}" for what, count in mix.noticed.most_common()))
    print(f"entries left in any table: {len(mix.left)}")
    return wrong


def _mix(mix: Mix) -> list[str]:
    mix.run()
    results = sorted({result for _, result in mix.ends})
    print(f"{'dialled':>8}" + "".join(f"{result:>13}" for result in results))
    totals = Counter[str]()
    for (_, result), count in mix.ends.items():
        totals[result] += count
    for number in sorted({number for number, _ in mix.ends}):
        counts = (mix.ends[number, result] for result in results)
        print(f"{number:>8}" + "".join(f"{count:13,}" for count in counts))
    print(f"{'all':>8}" + "".join(f"{totals[result]:13,}" for result in results))
    for title, counter in (("REST", mix.commands), ("kinds", mix.kinds)):
        if counter:  # a live server tells no histories
            text = ", ".join(f"{n:,} {what}" for what, n in counter.most_common())
            print(f"{title}: {text}")
    print(
        f"{mix.judged:,} calls, {mix.log.rules.packets:,} packets, "
        f"{mix.network.now:,.0f} s of its clock"
    )
    return mix.wrong


if __name__ == "__main__":
    sys.exit(main())
