"""Strangers as fixtures. `make test-interop` runs these tests; elsewhere they are skipped."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from scenarios.plugin import CaptureFactory, ServerFactory
from tests.interop.baresip import Baresip
from tests.interop.exchange import Exchange, Party
from tests.interop.kamailio import Kamailio
from tests.interop.linphone import Linphone
from tests.interop.phone import Phone

HERE = Path(__file__).parent
WANTED = os.environ.get("INTEROP") == "1"
PROGRAMS = ("baresip", "kamailio", "linphone-daemon", "sipsak", "tshark")

PhoneFactory = Callable[..., Phone]
BaresipFactory = Callable[..., Baresip]
LinphoneFactory = Callable[..., Linphone]
ExchangeFactory = Callable[..., Exchange]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not WANTED:
        skip = pytest.mark.skip(reason="strangers' software: make test-interop")
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _software() -> None:
    """Nothing is skipped here: what is missing is a failure."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if find_spec("pjsua2") is None:
        missing.append("pjsua2-python")
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; make test-interop installs them", False)


def _started(kind: type[Any], directory: Path) -> Iterator[Callable[..., Any]]:
    """A factory of phones in folders of their own, and what ends them."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(user: str, *arguments: Any, **settings: Any) -> Any:
            folder = directory / f"{kind.__name__.lower()}-{next(numbers)}-{user}"
            phone = kind(folder, user, *arguments, **settings)
            stack.callback(phone.close)
            return phone

        yield start


# Phones end before the servers are looked at: that is what `callsim_server` is here for.


@pytest.fixture
def phones(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[PhoneFactory]:
    """Start PJSIP phones: ``phones("1000", timer="required")``; each must end in order."""
    yield from _started(Phone, tmp_path)


@pytest.fixture
def baresips(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[BaresipFactory]:
    """Start baresip phones: ``baresips("1000", "tcp")``."""
    yield from _started(Baresip, tmp_path)


@pytest.fixture
def linphones(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[LinphoneFactory]:
    """Start linphones: ``linphones("1000", "tcp")``."""
    yield from _started(Linphone, tmp_path)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Kamailio]:
    kamailio = Kamailio(tmp_path / "kamailio")
    yield kamailio
    kamailio.close()


@pytest.fixture
def exchange(
    callsim_server: ServerFactory, capture: CaptureFactory, phones: PhoneFactory
) -> ExchangeFactory:
    """A server with numbers for these parties: ``exchange(bob, carol, settings={...})``."""

    def start(*parties: Party, **options: Any) -> Exchange:
        return Exchange(callsim_server, capture, parties, **options)

    return start
