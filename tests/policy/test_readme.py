"""The README's first screen says how to see it run and how to check it; its YAML is good."""

import re
from pathlib import Path

import pytest

from simulator.__main__ import _parser

README = Path(__file__).parents[2] / "README.md"
YAML = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("command", ["make run", "make test"])
def test_the_first_screen_names_the_command(command: str) -> None:
    assert command in "\n".join(README.read_text().splitlines()[:60])


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.partition(":")[0])
def test_a_block_of_yaml_passes_callsim_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], block: str
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(block)
    options = _parser().parse_args(["check", str(file)])
    assert (options.run(options), capsys.readouterr().out) == (0, f"{file}: good\n")
