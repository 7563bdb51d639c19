"""Which form is measured: the installed modules, compiled or plain, never the source tree."""

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

# Last, so that `sip`, `simulator` and `api` are those of the environment.
sys.path.append(str(Path(__file__).parents[2]))


def pytest_benchmark_update_machine_info(config: object, machine_info: dict[str, Any]) -> None:
    """Note the form with the figures."""
    from sip import message

    machine_info["compiled"] = str(message.__file__).endswith(".so")


@pytest.fixture(autouse=True)
def _collector() -> None:
    """The garbage collector as in `callsim serve`: what is there stays, the rest is rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
