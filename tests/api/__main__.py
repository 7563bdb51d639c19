"""The command: `python -m tests.api`."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.api import document_check


def main() -> int:
    """Run as told by the command line; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.api", description=document_check.__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each operation (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=300, help="at most (300)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="callsim-openapi-") as folder:
        problems = document_check.run_under_calls(
            Path(folder), options.examples, options.seed, options.seconds
        )
    for text in problems:
        print(f"WRONG: {text}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
