"""Declared operations: what turns a typed function into a route, validation and OpenAPI.

The declaration is the handler's own signature. Its first argument is the call server;
``query`` and ``body`` are pydantic models (a body with a default is optional), ``who`` is who
asks, ``if_match`` the header field of that name, and the names in `_OF_APP` are parts of the
application; every other argument is a part of the path. The name is the operationId, the
docstring the description, the returned model (or that of a `Json` or a `Stream`) the schema
of the answer, which is empty for None.
`api.openapi` reads the same declarations.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from api.errors import Answer, ApiError, answer_to, invalid, shown
from api.keys import (
    ANSWERS,
    HTTP_FIGURES,
    LOG_LEVELS,
    LOGINS,
    OPTIONS,
    REQUESTER,
    SERVER,
    WEBHOOKS,
)
from api.listing import Json
from api.streams import Stream
from simulator.config_base import Role

CONTRACT_PREFIX: Final = "/cvp/rest"

_IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_GUID: Final = "call_guid"
_GUID_FORM: Final = re.compile(r"[0-9A-Fa-f]{32}")
_JSON: Final = re.compile(r"application/(json|[\w.!#$&^-]+\+json)", re.IGNORECASE)
_NO_QUALITY: Final = re.compile(r"q\s*=\s*0(\.0*)?")
_JSON_TYPE: Final = "application/json"
_CLOSE: Final[Mapping[str, str]] = MappingProxyType({"Connection": "close"})
_CODINGS: Final = frozenset({"identity", "gzip", "deflate", "br", "zstd"})
_NONE: Final[Mapping[int, str]] = MappingProxyType({})
_ROLES: Final = get_args(Role)  # each may do what those before it may
_OF_APP: Final[Mapping[str, web.AppKey[Any]]] = {
    "answers": ANSWERS,  # what was answered to idempotency keys
    "webhooks": WEBHOOKS,
    "figures": HTTP_FIGURES,
    "logins": LOGINS,
    "log_levels": LOG_LEVELS,
}

Returned = BaseModel | Json[Any] | Stream | None
Function = TypeVar("Function", bound=Callable[..., Awaitable[Returned]])


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as declared; `path` is below its group's prefix, `role` the least it takes."""

    group: "Operations"
    method: str
    path: str
    status: int
    description: str
    errors: Mapping[int, str]
    role: Role
    once: bool
    function: Callable[..., Awaitable[Returned]]
    parts: Mapping[str, str]  # of the path: their names there, and as arguments
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    body_required: bool
    answer: type[BaseModel] | None
    stream: type[Stream] | None
    wants_who: bool
    wants_if_match: bool
    of_app: tuple[str, ...]
    tagged: bool

    @property
    def operation_id(self) -> str:
        """The name in OpenAPI."""
        return to_camel(self.function.__name__)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Validate a request, run the function, show its answer."""
        self._check_role(request)
        self._check_accept(request)
        place = self._place(request)
        arguments: dict[str, Any] = dict(place)
        for name in self.of_app:
            arguments[name] = request.app[_OF_APP[name]]
        if self.wants_who:
            arguments["who"] = request[REQUESTER]
        if self.wants_if_match:
            arguments["if_match"] = ", ".join(request.headers.getall(hdrs.IF_MATCH, []))
        self._read_query(request, arguments)
        if self.stream is not None:
            stream = await self.function(request.app[SERVER], **arguments)
            assert isinstance(stream, Stream)
            return await stream.respond(request)
        raw = await self._read_body(request, arguments) if self.body else b""

        async def run() -> Answer:
            reply = await self.function(request.app[SERVER], **arguments)
            assert not isinstance(reply, Stream)
            answer = Answer.of(reply, self.status)
            if self.tagged:
                tag = entity_tag(answer.body)
                answer = replace(answer, headers={**answer.headers, "ETag": tag})
            return answer

        key = _idempotency_key(request) if self.once else None
        if key is None:
            return (await run()).response()

        async def run_or_tell() -> Answer:
            try:
                return await run()
            except Exception as error:
                return answer_to(error, request)

        scope = (request[REQUESTER].user, self.operation_id, *place.values(), key)
        return (await request.app[ANSWERS].once(scope, raw, run_or_tell)).response()

    def _check_role(self, request: web.Request) -> None:
        """ApiError 403 where the user may not do this; who is not asked for a password may read."""
        who = request.get(REQUESTER)
        role: Role = "read" if who is None else who.role
        if _ROLES.index(role) < _ROLES.index(self.role):
            details = f"this takes the role {self.role}; the user has {role}"
            raise ApiError(403, details, code="ROLE_NEEDED")

    def _check_accept(self, request: web.Request) -> None:
        """ApiError 406 where the client says that it cannot read what would be answered.

        Whoever says nothing takes anything; probes are asked for their status alone.
        """
        served = _JSON_TYPE if self.stream is None else self.stream.media_type
        if self.answer is None or not served or not self.group.negotiated:
            return
        given = ", ".join(request.headers.getall(hdrs.ACCEPT, []))
        if not accepts(given, served):
            raise ApiError(406, f"Accept is {shown(given)}; add {served}, or leave it out")

    def _place(self, request: web.Request) -> dict[str, str]:
        """The parts of the path. A GUID is in capitals in all tables, in either case here."""
        place = {name: request.match_info[part] for part, name in self.parts.items()}
        if self.group.capitals and _GUID_FORM.fullmatch(place.get(_GUID, "")):
            place[_GUID] = place[_GUID].upper()
        return place

    def _read_query(self, request: web.Request, arguments: dict[str, Any]) -> None:
        given = request.query
        if self.query is None:
            if given and self.method != hdrs.METH_GET:
                name = shown(next(iter(given)))
                raise ApiError(400, f"query {name} is not known here; leave it out")
            return
        for name in given:
            if len(given.getall(name)) > 1:
                raise ApiError(400, f"query {shown(name)} is there twice; give it once")
        try:
            arguments["query"] = self.query.model_validate(dict(given))
        except ValidationError as error:
            raise invalid(error, self.query, "query") from None

    async def _read_body(self, request: web.Request, arguments: dict[str, Any]) -> bytes:
        assert self.body is not None
        raw = await _body(request)
        if not raw:
            if self.body_required:
                raise ApiError(400, "the body is missing; send a JSON object")
            return raw
        charset = request.charset or "utf-8"
        if not _JSON.fullmatch(request.content_type) or charset.lower() not in ("utf-8", "utf8"):
            sent = shown(request.headers.get(hdrs.CONTENT_TYPE, ""))
            details = f"Content-Type is {sent}; send JSON in UTF-8 as application/json"
            raise ApiError(415, details)
        try:
            arguments["body"] = self.body.model_validate_json(raw)
        except ValidationError as error:
            raise invalid(error, self.body, "body") from None
        return raw


def accepts(header: str, media_type: str) -> bool:
    """Whether an Accept header allows `media_type` (RFC 9110 section 12.5.1).

    The most specific range that fits decides, and only its ``q=0`` refuses. Without any
    range all is allowed.
    """
    kind = media_type.partition("/")[0]
    rank = {media_type: 3, f"{kind}/*": 2, "*/*": 1, "*": 1}
    ranges = [one.lower() for one in header.split(",") if one.strip()]
    best, allowed = 0, not ranges
    for one in ranges:
        name, *parameters = [part.strip() for part in one.split(";")]
        if rank.get(name, 0) > best:
            best = rank[name]
            allowed = not any(_NO_QUALITY.fullmatch(part) for part in parameters)
    return allowed


def entity_tag(body: bytes) -> str:
    """The ETag of an answer (RFC 9110 section 8.8.3): strong, of its bytes."""
    return f'"{blake2b(body, digest_size=8).hexdigest()}"'


def check_match(if_match: str, current: BaseModel) -> None:
    """ApiError 412 where `if_match` names only other states than the present one."""
    known = [tag.strip() for tag in if_match.split(",") if tag.strip()]
    now = entity_tag(Answer.of(current, 200).body)
    if known and "*" not in known and now not in known:
        details = f"If-Match is {shown(if_match)}, but the ETag is {now} now; read it again"
        raise ApiError(412, details, headers={"ETag": now})


async def _body(request: web.Request) -> bytes:
    """The whole body.

    ApiError 408 when it does not come, 413 when it says that it will be too long, 415 and 501
    for codings that are not known here, 400 when it breaks off or cannot be unpacked.
    """
    if not request.body_exists:
        return b""
    _check_head(request)
    limit = request.app[OPTIONS].body_timeout
    try:
        async with asyncio.timeout(limit):
            return await request.read()
    except TimeoutError:
        details = f"the body did not arrive within {limit:g} seconds; send it at once"
        raise ApiError(408, details, headers=_CLOSE) from None
    except (web.RequestPayloadError, ConnectionError):
        details = "the body broke off, or is not what its headers say; send it again"
        raise ApiError(400, details) from None


def _check_head(request: web.Request) -> None:
    """What the header says of the body, before any of it is read."""
    most = request.client_max_size
    if (request.content_length or 0) > most:
        details = f"Content-Length is {request.content_length}; a body has at most {most} bytes"
        raise ApiError(413, details, headers=_CLOSE)
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if coding.strip().lower() not in _CODINGS:
        details = f"Content-Encoding is {shown(coding)}; send gzip or deflate, or leave it out"
        raise ApiError(415, details, headers=_CLOSE)
    transfer = request.headers.get(hdrs.TRANSFER_ENCODING, "chunked")
    if transfer.strip().lower() != "chunked":
        details = f"Transfer-Encoding is {shown(transfer)}; only chunked is known here"
        raise ApiError(501, details, headers=_CLOSE)


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall(_IDEMPOTENCY_KEY, [])
    if not keys:
        return None
    if len(keys) > 1 or not re.fullmatch(r"[!-~]{1,255}", keys[0]):
        raise ApiError(400, f"{_IDEMPOTENCY_KEY} must be one text of 1 to 255 visible characters")
    return keys[0]


class Operations:
    """The operations of one tag below one prefix, in the order they were declared.

    Where they are `negotiated`, an Accept header that excludes their answer gets a 406. They
    have GUIDs in `capitals`, unless a Call-ID that looks like one may stand in the same place.
    """

    def __init__(
        self,
        tag: str,
        prefix: str = CONTRACT_PREFIX,
        *,
        negotiated: bool = True,
        capitals: bool = True,
    ) -> None:
        self.negotiated = negotiated
        self.capitals = capitals
        self.tag = tag
        self.prefix = prefix
        self.declared: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        description: str,
        *,
        status: int = 200,
        errors: Mapping[int, str] = _NONE,
        role: Role | None = None,
        once: bool = False,
        tagged: bool = False,
    ) -> Callable[[Function], Function]:
        """Declare the decorated function.

        `description` tells what an answer with `status` is, `errors` what the others mean.
        `role` is who may do it: without one everybody where it is a GET, else an admin.
        `once` lets clients send an Idempotency-Key; `tagged` answers with an ETag.
        """

        def declare(function: Function) -> Function:
            hints = get_type_hints(function, include_extras=True)
            body = inspect.signature(function).parameters.get("body")
            answer = hints["return"]
            operation = Operation(
                group=self,
                method=method,
                path=path,
                status=status,
                description=description,
                errors=errors,
                role=role or ("read" if method == hdrs.METH_GET else "admin"),
                once=once,
                function=function,
                parts={part: to_snake(part) for part in re.findall(r"{(\w+)}", path)},
                query=hints.get("query"),
                body=hints.get("body"),
                body_required=body is not None and body.default is inspect.Parameter.empty,
                answer=_answer_of(answer),
                stream=answer if _is_stream(answer) else None,
                wants_who="who" in hints,
                wants_if_match="if_match" in hints,
                of_app=tuple(name for name in _OF_APP if name in hints),
                tagged=tagged,
            )
            self.declared.append(operation)
            return function

        return declare


def _is_stream(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Stream)


def _answer_of(hint: Any) -> type[BaseModel] | None:
    if hint is type(None):
        return None
    if _is_stream(hint):
        model: type[BaseModel] = hint.model
    else:
        model = get_args(hint)[0] if get_origin(hint) is Json else hint
    return model


def add_routes(app: web.Application, groups: Iterable[Operations]) -> None:
    """Serve every declared operation; GET answers HEAD too."""
    for group in groups:
        for operation in group.declared:
            path = group.prefix + operation.path
            if operation.method == hdrs.METH_GET:
                app.router.add_get(path, operation.respond)
            else:
                app.router.add_route(operation.method, path, operation.respond)
