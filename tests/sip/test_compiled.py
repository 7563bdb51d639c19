"""The tests try the form that they are to try: `make test-compiled` the compiled one."""

import os

import pytest

from sip import endpoint, message
from sip.aio import stack
from sip.usage import invite


@pytest.mark.parametrize("module", [endpoint, invite, message, stack])
def test_the_form_that_is_tested(module: object) -> None:
    compiled = os.environ.get("CALLSIM_COMPILED") == "1"
    assert str(getattr(module, "__file__", "")).endswith(".so" if compiled else ".py")
