"""What schemathesis does besides: it asks about live calls, and minds what errors speak of.

It is loaded by its command, which tells by CALLSIM_LIVE_CALLS where the active calls are listed.
"""

import json
import os
import re
import urllib.request
from itertools import count
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

_FOREIGN = re.compile(
    r'Traceback|File "|pydantic|aiohttp|NoneType|<class |Input should|object at 0x|bytearray\('
)
_turns = count()


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """Three of four made-up GUIDs become those of calls that are there."""
    url = os.environ.get("CALLSIM_LIVE_CALLS")
    if not url or case.meta is None or "callGuid" not in case.path_parameters:
        return
    path = case.meta.components.get(ParameterLocation.PATH)
    if path is None or path.mode.is_negative or case.meta.phase.name.value == "stateful":
        return
    turn = next(_turns)
    if turn % 4:
        request = urllib.request.Request(
            url, headers={"Authorization": os.environ["CALLSIM_LOGIN"]}
        )
        with urllib.request.urlopen(request) as answer:
            calls = json.load(answer)["calls"]
        if calls:
            case.path_parameters["callGuid"] = calls[turn % len(calls)]["callGuid"]


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """Null and an empty list are not sent: such a query is not as wrong as it looks."""
    return all(map(_is_sent, (query or {}).values()))


def _is_sent(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_sent, value.values()))
    if isinstance(value, list):
        return any(map(_is_sent, value))
    return value is not None


@schemathesis.check
def speaks_of_the_request(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """An error is about what the client has sent, or tells a reference and nothing else."""
    if response.status_code >= 400:
        text = response.content.decode("utf-8", "replace")
        assert _FOREIGN.search(text) is None, f"an error speaks of Python: {text[:500]}"
