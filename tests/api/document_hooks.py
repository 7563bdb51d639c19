"""What schemathesis checks besides its own: no error speaks of Python or of our libraries."""

import re
from typing import Any

import schemathesis

_FOREIGN = re.compile(
    r'Traceback|File "|pydantic|aiohttp|NoneType|<class |Input should|object at 0x|bytearray\('
)


@schemathesis.check
def speaks_of_the_request(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """An error is about what the client has sent, or tells a reference and nothing else."""
    if response.status_code >= 400:
        text = response.content.decode("utf-8", "replace")
        assert _FOREIGN.search(text) is None, f"an error speaks of Python: {text[:500]}"
