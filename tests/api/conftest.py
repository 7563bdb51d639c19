import pytest

from simulator import passwords


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes passwords hard to guess makes tests slow."""
    monkeypatch.setattr(passwords, "LOG_COST", 1)
