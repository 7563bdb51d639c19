"""The command behind `make ladders`: every golden ladder anew, from the run in memory."""

import argparse

from scenarios.flows import LADDERS, load
from tests.support.stage import VirtualStage


def main() -> None:
    """Write the files; say which are new or changed."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("flow", nargs="*", help="only these (default: all)")
    wanted = parser.parse_args().flow
    flows = load()
    LADDERS.mkdir(exist_ok=True)
    for name in wanted or flows:
        flow = flows[name]
        page = VirtualStage(flow).play(flow)
        if not flow.golden.exists() or flow.golden.read_text() != page:
            flow.golden.write_text(page)
            print(f"changed: {flow.golden}")
    if not wanted:
        for path in LADDERS.glob("*"):
            if path.stem not in flows:
                path.unlink()
                print(f"removed: {path}")


if __name__ == "__main__":
    main()
