import pytest

from api import auth


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes passwords hard to guess makes tests slow."""
    monkeypatch.setattr(auth, "SCRYPT_COST", 2)
