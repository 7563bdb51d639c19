"""`sip` and `api` are common names: nothing installed may stand in front of ours."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# -I: only what is installed, as the `callsim` command sees it, not the working directory.
FIND = """
import sys
from importlib.util import find_spec
spec = find_spec(sys.argv[1])
print(spec.origin if spec else None)
"""


@pytest.mark.parametrize("name", ["sip", "simulator", "api", "scenarios"])
def test_the_installed_name_is_ours(name: str, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-I", "-c", FIND, name],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert found.stdout.strip() == str(ROOT / name / "__init__.py")
