"""What is started for a test does not outlive it."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

PARENT = """
import sys, time
from pathlib import Path
from scenarios.child import Child

child = Child([sys.executable, "-c", "import time; time.sleep(600)"], Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""
PATIENCE = 20.0


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        handle = os.pidfd_open(int(parent.stdout.readline()))
        try:
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            assert ended.poll(0) == []
            parent.kill()
            if not ended.poll(PATIENCE * 1000):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                raise AssertionError("it runs on")
        finally:
            os.close(handle)
