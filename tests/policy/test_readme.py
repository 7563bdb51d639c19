"""The README's first screen says how to see it run and how to check it."""

from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("command", ["make run", "make test"])
def test_the_first_screen_names_the_command(command: str) -> None:
    assert command in "\n".join(README.read_text().splitlines()[:60])
