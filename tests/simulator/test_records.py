from types import SimpleNamespace
from typing import cast

import pytest

from simulator.call import Call
from simulator.records import _cause


@pytest.mark.parametrize(
    ("result", "code", "cause"),
    [
        ("completed", 0, 1),
        ("abandoned", 487, 2),
        ("transferred", 0, 3),
        ("error", 486, 5),
        ("error", 480, 6),
        ("error", 408, 6),
        ("error", 503, 18),
        ("error", 404, 26),
    ],
)
def test_the_cause_of_an_end(result: str, code: int, cause: int) -> None:
    """CauseID of the reporting database [RG]."""
    assert _cause(cast(Call, SimpleNamespace(result=result, error_code=code))) == cause
