"""The command: `python -m tests.supply`, a step of `make lint`."""

import sys

from tests.supply.audit import LOCKS, audit


def main() -> int:
    """Ask, tell; 1 when something is known against a package, or pip-audit did not work."""
    found = audit(LOCKS)
    print(found)
    return 1 if found.findings or found.failure else 0


if __name__ == "__main__":
    sys.exit(main())
