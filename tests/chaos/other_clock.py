"""Runs a Python program whose time of day is off by the seconds that a file holds:
``python other_clock.py FILE PROGRAM ...``. The file may change at any time.
"""

import runpy
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    file = Path(sys.argv[1])
    true_time = time.time

    def shifted() -> float:
        """Seconds since the epoch, by the clock that was set."""
        return true_time() + float(file.read_text())

    time.time = shifted
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")
