"""Many connections at once: the run that shows 1,000 of them, with fewer."""

from pathlib import Path

import pytest

from benchmarks.connections import measure


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_no_call_is_lost(tmp_path: Path, transport: str) -> None:
    figures = measure(transport, 40, tmp_path)
    assert figures.clean, str(figures)
    assert "0 lost" in str(figures)
    assert figures.server_cpu > 0
