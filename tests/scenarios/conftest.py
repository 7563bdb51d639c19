"""One call under observation, for every test of this folder."""

import pytest

from scenarios.plugin import CaptureFactory, ServerFactory, SippFactory
from tests.scenarios.flow import Flows


@pytest.fixture
def flows(callsim_server: ServerFactory, sipp: SippFactory, capture: CaptureFactory) -> Flows:
    return Flows(callsim_server, sipp, capture)
