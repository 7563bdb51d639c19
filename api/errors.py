"""Every error answer: one table from exception to status and code, one body.

`answer_to` turns any exception into the contract's Error body. What the table does not know
is a fault of ours: it is logged, and the client gets a 500 with nothing but a reference to
the log.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, get_args

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ValidationError

from api.headers import request_id
from api.keys import REQUESTER
from api.listing import Json
from api.models import Error
from simulator.cdr_records import CdrStoreError
from simulator.errors import (
    AgentNotFound,
    BanNotFound,
    CallNotFound,
    CallNotQueued,
    CallStateError,
    CursorUnknown,
    EventsGone,
    FaultConflict,
    FaultNotFound,
    NotAdmitted,
    PhoneNotSimulated,
    PlanConflict,
    PlanEntryNotFound,
    PlanNotStored,
    RecordNotFound,
    RecordNotStored,
    ReportTooLong,
    SessionNotFound,
    SkillGroupNotFound,
    TooManyReaders,
    TraceNotFound,
)
from simulator.log_thread import serving
from simulator.reports import ReportsBusy
from simulator.routing import NotRoutable
from simulator.variables import VariableError

_log = logging.getLogger(__name__)
requests_log: Final = logging.getLogger("api.requests")

# The first row that fits decides.
ERRORS: Final[tuple[tuple[type[Exception], int, str, str], ...]] = (
    (CallNotFound, 404, "CALL_NOT_FOUND", "the call is not known or no longer active"),
    (RecordNotFound, 404, "CDR_NOT_FOUND", "no call that has ended has this GUID"),
    (CursorUnknown, 400, "INVALID_REQUEST", "no page of records ended there"),
    (SessionNotFound, 404, "SESSION_NOT_FOUND", "the SIP session is not known or has ended"),
    (AgentNotFound, 404, "AGENT_NOT_FOUND", "there is no such agent"),
    (SkillGroupNotFound, 404, "SKILL_GROUP_NOT_FOUND", "there is no such skill group"),
    (TraceNotFound, 404, "TRACE_NOT_FOUND", "nothing is kept of the messages of this call"),
    (BanNotFound, 404, "BAN_NOT_FOUND", "there is no such ban"),
    (FaultNotFound, 404, "FAULT_NOT_FOUND", "there is no such fault"),
    (FaultConflict, 409, "FAULT_CONFLICT", "the fault does not fit to those that are there"),
    (PhoneNotSimulated, 409, "PHONE_NOT_SIMULATED", "the phone is none of the simulated ones"),
    (CallNotQueued, 409, "CALL_NOT_QUEUED", "the call waits in no queue"),
    (CallStateError, 409, "CALL_STATE", "the state of the call does not allow this"),
    (NotAdmitted, 503, "NOT_ADMITTED", "no new call is taken now"),
    (NotRoutable, 400, "NOT_ROUTABLE", "no route leads there"),
    (VariableError, 400, "INVALID_VARIABLE", "a variable cannot be set"),
    (PlanEntryNotFound, 404, "PLAN_ENTRY_NOT_FOUND", "the plan has no such entry"),
    (PlanConflict, 409, "PLAN_CONFLICT", "the change does not fit to what is there"),
    (PlanNotStored, 500, "PLAN_NOT_STORED", "the change could not be kept, and was not made"),
    (RecordNotStored, 500, "RECORD_NOT_STORED", "done, but its record is not stored yet"),
    (CdrStoreError, 503, "CDR_STORE", "the store of the records cannot be read"),
    (ReportTooLong, 503, "REPORT_TOO_LONG", "the report takes too long; ask for a shorter range"),
    (ReportsBusy, 503, "REPORTS_BUSY", "too many reports are asked for at a time"),
    (EventsGone, 410, "EVENTS_GONE", "the events behind this cursor are not kept any more"),
    (TooManyReaders, 503, "TOO_MANY_READERS", "too many read the events already"),
)

# Where to look for what there is, to those who asked for what there is not.
_LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CALL_NOT_FOUND": "GET /cvp/rest/call lists the active calls",
        "CDR_NOT_FOUND": "GET /cvp-reporting/rest/cdr lists the records",
        "SESSION_NOT_FOUND": "GET /cvp/rest/sip/session lists the sessions",
        "AGENT_NOT_FOUND": "GET /sim/v1/agents lists the agents",
        "SKILL_GROUP_NOT_FOUND": "GET /sim/v1/skill-groups lists them",
        "TRACE_NOT_FOUND": "GET /sim/v1/trace/calls lists the calls of which something is kept",
        "BAN_NOT_FOUND": "GET /sim/v1/bans lists them",
        "FAULT_NOT_FOUND": "GET /sim/v1/faults lists them",
        "PLAN_ENTRY_NOT_FOUND": "GET /oamp/rest/dialedNumberPattern and /oamp/rest/sipserver list "
        "what there is",
    }
)

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_LATER: Final[Mapping[str, str]] = MappingProxyType({"Retry-After": "1"})
_MAX_SHOWN: Final = 80
_MAX_DETAILS: Final = 1000
_INTERNAL: Final = re.compile(
    r"\[key\]|function-[a-z]+\[.*|literal\[.*|constrained-[a-z]+", re.DOTALL
)
"""How pydantic names a branch of a union, which nobody wrote."""
_MAX_FAULTS: Final = 5
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# What pydantic finds, by its name for it, in words of JSON. Of `context`, and `length`.
_OBJECT: Final = "must be an object"
_WHOLE: Final = "must be a whole number"
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "string_type": "must be a string",
        "int_type": _WHOLE,
        "int_from_float": _WHOLE,
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "list_type": "must be an array",
        "dict_type": _OBJECT,
        "model_type": _OBJECT,
        "literal_error": "must be {expected}",
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "string_too_short": "has {length} characters; at least {min_length}",
        "string_too_long": "has {length} characters; at most {max_length}",
        "too_short": "has {actual_length} entries; at least {min_length}",
        "too_long": "has {actual_length} entries; at most {max_length}",
    }
)
_JSON_WORDS: Final = (
    ("expected ident", "a word there is none of true, false and null"),
    ("EOF while parsing", "it ends within"),
    ("recursion limit exceeded", "it is nested too deeply"),
    ("unexpected end of hex escape", "a \\u escape, or pair of them, is not whole"),
)


class ApiError(Exception):
    """An error found by the API itself, before the call server was asked."""

    def __init__(
        self, status: int, details: str, *, code: str = "", headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        super().__init__(details)
        self.status = status
        self.code = code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer as values, to be sent once or several times."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: BaseModel | Json[Any] | None,
        status: int,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> "Answer":
        """`model` as JSON; None is left out. Without a model the body is empty."""
        if model is None:
            return cls(status, b"", headers)
        if isinstance(model, Json):
            return cls(status, model.body, {**headers, **model.headers})
        body = model.model_dump_json(by_alias=True, exclude_none=True).encode()
        return cls(status, body, headers)

    def response(self) -> web.Response:
        """A response for one request."""
        return web.Response(
            status=self.status,
            body=self.body or None,
            content_type="application/json" if self.body else None,
            headers=self.headers,
        )


def answer_to(error: BaseException, request: web.BaseRequest) -> Answer:
    """The Error body for `error`; an unforeseen one is logged and becomes a 500."""
    if isinstance(error, ApiError):
        return _answer(error.status, str(error), code=error.code, headers=error.headers)
    if isinstance(error, web.HTTPException):
        return _answer_to_http(error)
    for kind, status, code, message in ERRORS:
        if isinstance(error, kind):
            details, fix = str(error) or message, _LISTS.get(code, "")
            return _answer(status, details, code=code, message=message, fix=fix)
    reference = request_id(request)
    _log.error("request %s failed", reference, exc_info=error)
    return _answer(500, f"a fault of the server, in its log under {reference}")


def _answer_to_http(error: web.HTTPException) -> Answer:
    """For what aiohttp finds: unknown path, method, too long a body."""
    headers = {}
    details = error.text or error.reason
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        details = f"{shown(error.method)} is not possible here; use {headers['Allow']}"
    elif isinstance(error, web.HTTPRequestEntityTooLarge):
        details = "the body is too long; send less"
    elif isinstance(error, web.HTTPExpectationFailed):
        details = "Expect can be 100-continue only; leave it out"
    elif error.status == 404:
        details = "there is no such path; /openapi.json lists them"
    return _answer(error.status, details, headers=headers)


def _answer(
    status: int,
    details: str,
    *,
    code: str = "",
    message: str = "",
    fix: str = "",
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Answer:
    known = HTTPStatus(status)
    told = details if len(details) <= _MAX_DETAILS else f"{details[:_MAX_DETAILS]}..."
    body = Error(
        code=code or known.name,
        message=message or known.phrase.lower(),
        details=f"{told}; {fix}" if fix else told,
    )
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {**_LATER, **headers}
    return Answer.of(body, status, headers)


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No exception passes this one. Debug lines tell each request."""
    with serving(request_id(request)):
        try:
            response = await handler(request)
        except Exception as error:
            response = answer_to(error, request).response()
        _tell(request, response)
    return response


def _tell(request: web.Request, response: web.StreamResponse) -> None:
    if requests_log.isEnabledFor(logging.DEBUG):
        who = request.get(REQUESTER)
        requests_log.debug(
            "%s %s from %s at %s: %d",
            request.method,
            shown(request.raw_path),
            "nobody" if who is None else shown(who.user),
            request.remote,
            response.status,
        )


def shown(value: object) -> str:
    """A value as JSON, safe and short enough to repeat in an error or a log."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def invalid(error: ValidationError, model: type[BaseModel], what: str) -> ApiError:
    """A 400 that tells what is wrong with `what` (body or query), by field."""
    faults = error.errors(include_url=False)
    faults = [fault for fault in faults if fault["type"] != "none_required"] or faults
    told = [_fault(fault, model, what) for fault in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        told.append(f"and {len(faults) - _MAX_FAULTS} more")
    return ApiError(400, "; ".join(told), code="INVALID_REQUEST")


def _fault(fault: Mapping[str, Any], model: type[BaseModel], what: str) -> str:
    path = [str(part) for part in fault["loc"] if not _INTERNAL.fullmatch(str(part))]
    where = ".".join(part if part and part.isprintable() else ascii(part) for part in path)
    where = where if len(where) <= _MAX_SHOWN else f"{where[:_MAX_SHOWN]}..."
    value = fault["input"]
    whole = not path and isinstance(value, dict)
    given = "" if whole else f" (given: {shown(value)})"
    where = where or f"the {what}"
    match fault["type"]:
        case "missing":
            return f"{where} is missing; add it to the {what}"
        case "extra_forbidden":
            place = ".".join(path[:-1]) or f"the {what}"
            return f"{where} is not known; known in {place}: {', '.join(_names(model, path))}"
        case "json_invalid":
            text = fault["msg"].removeprefix("Invalid JSON: ")
            for theirs, ours in _JSON_WORDS:
                text = text.replace(theirs, ours)
            return _lone_surrogate(value) or f"the {what} is not JSON: {text}"
        case kind if kind in _WORDS:
            length = len(value) if isinstance(value, str) else 0
            text = _WORDS[kind].format(length=length, **fault.get("ctx", {}))
            return f"{where} {text}{given}"
        case _:
            text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
            return f"{where} {text.removeprefix(f'{where} ')}{given}"


def _lone_surrogate(raw: object) -> str:
    """Where JSON has a text that UTF-8 cannot carry (``"\\ud800"``): field and fix; or ""."""
    try:
        return next(_surrogates(json.loads(raw), ""), "") if isinstance(raw, str | bytes) else ""
    except (ValueError, RecursionError):
        return ""


def _surrogates(value: object, where: str) -> Iterator[str]:
    if isinstance(value, str) and (found := _SURROGATE.search(value)):
        name = (where if where.isprintable() else ascii(where)[1:-1])[:_MAX_SHOWN] or "the text"
        yield f"{name} has the lone surrogate {found[0]!a} at place {found.start() + 1}; remove it"
    elif isinstance(value, dict):
        for key, inner in value.items():
            field = f"{where}.{key}" if where else str(key)
            yield from _surrogates(key, field)
            yield from _surrogates(inner, field)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _surrogates(inner, f"{where}.{place}")


def _names(model: type[BaseModel], path: list[str]) -> Iterator[str]:
    """The fields that are known beside the one at `path`, below `model`."""
    for part in path[:-1]:
        for name, info in model.model_fields.items():
            if part == (info.alias or name):
                for kind in get_args(info.annotation):
                    if isinstance(kind, type) and issubclass(kind, BaseModel):
                        model = kind
    return (info.alias or name for name, info in model.model_fields.items())
