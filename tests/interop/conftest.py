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
from tests.interop.phone import Phone

HERE = Path(__file__).parent
WANTED = os.environ.get("INTEROP") == "1"
PROGRAMS = ("baresip", "kamailio", "sipsak", "tshark")

PhoneFactory = Callable[..., Phone]
BaresipFactory = Callable[..., Baresip]
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


@pytest.fixture
def phones(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[PhoneFactory]:
    """Start PJSIP phones: ``phones("alice", timer="required")``; each must end in order."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(user: str, *arguments: Any, **settings: Any) -> Phone:
            directory = tmp_path / f"phone-{next(numbers)}-{user}"
            phone = Phone(directory, user, *arguments, **settings)
            stack.callback(phone.kill)
            stack.callback(phone.close)
            return phone

        yield start


@pytest.fixture
def baresips(tmp_path: Path, callsim_server: ServerFactory) -> Iterator[BaresipFactory]:
    """Start baresip phones: ``baresips("carol")``."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(user: str, *arguments: Any, **settings: Any) -> Baresip:
            directory = tmp_path / f"baresip-{next(numbers)}-{user}"
            phone = Baresip(directory, user, *arguments, **settings)
            stack.callback(phone.close)
            return phone

        yield start


@pytest.fixture
def exchange(
    callsim_server: ServerFactory, capture: CaptureFactory, phones: PhoneFactory
) -> ExchangeFactory:
    """A server with numbers for these parties: ``exchange(bob, carol, settings={...})``."""

    def start(*parties: Party, **options: Any) -> Exchange:
        return Exchange(callsim_server, capture, parties, **options)

    return start
