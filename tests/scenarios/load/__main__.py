"""Two runs to saturation, made so that it is known who was: does the verdict say so, and do the
figures agree with SIPp's own files?

``make load-verdict``. In one run a scenario that keeps SIPp busy calls a server with little to
do, in the other an ordinary one calls a server that stands between two SIPps. Takes two minutes
of a machine that does nothing else.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scenarios.runner import sipp_program
from simulator.__main__ import main as callsim
from tests.scenarios.load.support import disagreements

_ACTION = '<ereg regexp="(.*)(.*)(.*)#" search_in="msg" assign_to="heavy"/>'


def heavy_scenario(path: Path, times: int) -> Path:
    """SIPp's own caller, which looks through each answer so many times."""
    told = subprocess.run([sipp_program(), "-sd", "uac"], capture_output=True, text=True)
    text = told.stdout[told.stdout.index("<?xml") :]
    action = f"<action>{_ACTION * times}</action>"
    first, found, rest = text.partition('<recv response="200" rtd="true">')
    assert found, "SIPp's uac is another one than we know"
    text = f'{first}<recv response="200">{action}{rest}'
    text = text.replace("</scenario>", '<Reference variables="heavy"/>\n</scenario>')
    path.write_text(text)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when both verdicts are right and all figures agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.load", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each ramp (20)")
    parser.add_argument("--server-rate", type=int, default=2500, help="its last rate (2500)")
    parser.add_argument("--generator-rate", type=int, default=600, help="its last rate (600)")
    parser.add_argument("--heavy", type=int, default=4, help="looks through an answer (4)")
    parser.add_argument("--only", choices=("server", "generator"), help="one of the runs")
    parser.add_argument("--output", type=Path, default=Path("build/load-verdict"))
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    heavy = heavy_scenario(options.output / "heavy.xml", options.heavy)
    runs = {
        "generator": ["--xml", str(heavy), "--ramp", f"20:{options.generator_rate}"],
        "server": ["--callee", "--number", "2001", "--ramp", f"100:{options.server_rate}"],
    }
    wrong = []
    for expected, more in runs.items():
        if options.only in (None, expected):
            place = options.output / expected
            print(f"\n{expected} to be saturated", flush=True)
            common = ["load", "--for", str(options.seconds), "--keep", "--report", str(place)]
            code = callsim([*common, *more])
            report = json.loads((place / "report.json").read_text())
            came = report["verdict"]["saturated"]
            if code or came != expected:
                wrong.append(f"{expected} run: verdict {came}, exit code {code}")
            wrong += disagreements(report, [place / "sipp" / "run" / "caller-0"])
    for text in wrong:
        print(f"WRONG: {text}", file=sys.stderr)
    if not wrong:
        print("\nBoth verdicts are right, and the figures agree with SIPp's own files.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
