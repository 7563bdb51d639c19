"""The command: `python -m tests.supply` (`make audit`; `make lint` only warns of it)."""

import sys

from tests.supply.audit import LOCKS, audit


def main() -> int:
    """Ask, tell; 1 when something is known against a package, 2 when nobody could be asked."""
    found = audit(LOCKS)
    print(found)
    if not found.known:
        return 2
    return 1 if found.findings else 0


if __name__ == "__main__":
    sys.exit(main())
