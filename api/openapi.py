"""OpenAPI 3.1 from the declared operations and their pydantic models.

Paths of the contract stand as in the contract, below the server ``/cvp/rest``; those of
other prefixes stand whole, with a server of their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from api.models import Error
from api.operations import CONTRACT_PREFIX, Operation, Operations
from api.streams import LAST_EVENT_ID, EventStream
from simulator.service import callsim_version

_JSON: Final = "application/json"
_SHARED: Final = {
    400: ("BadRequest", "invalid request"),
    401: ("Unauthorized", "credentials missing or wrong"),
    404: ("NotFound", "not found"),
    500: ("InternalError", "internal error"),
}
_LAST_EVENT_PARAMETER: Final = {
    "name": LAST_EVENT_ID,
    "in": "header",
    "description": "Send what followed the event with this cursor, as EventSource asks for it.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,16}$"},
}
_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key gives the same answer, and the command runs once.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}

_MATCH_PARAMETER: Final = {
    "name": "If-Match",
    "in": "header",
    "description": "Only if the ETag is still one of these.",
    "schema": {"type": "string"},
}
_TAG_HEADER: Final = {
    "ETag": {"description": "Changes with the answer.", "schema": {"type": "string"}}
}


class _Schemas(GenerateJsonSchema):
    """Schemas as the contract writes them: no titles, no empty defaults."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        """The contract promises no field of an answer; requests say what they need."""
        return self.mode == "validation" and super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        shown = super().default_schema(schema)
        if not shown.get("default"):
            shown.pop("default", None)
        return shown


def document(groups: Iterable[Operations], public: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The whole document; `public` are the full paths that need no password."""
    groups = list(groups)
    operations = [operation for group in groups for operation in group.declared]
    names, schemas = _schemas(operations)
    used = [part for operation in operations for part in operation.parts]
    shared_parts = {part for part in used if used.count(part) > 1}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        prefix = operation.group.prefix
        within = prefix == CONTRACT_PREFIX
        item = paths.setdefault(operation.path if within else prefix + operation.path, {})
        if not within:
            item["servers"] = [{"url": "/"}]
        shown = _operation(operation, names, shared_parts)
        if prefix + operation.path in public:
            shown["security"] = [{}, {"basicAuth": []}]
        item[operation.method.lower()] = shown
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Callsim",
            "version": callsim_version(),
            "description": "An open call server simulator. The paths below /cvp/rest follow "
            "the API Evangelist profile of the CVP Call Control API. x-role is the role that a "
            "user needs: control may what read may, admin may all. Every answer has an "
            "X-Request-Id.",
        },
        "servers": [{"url": CONTRACT_PREFIX, "description": "this server"}],
        "security": [{"basicAuth": []}],
        "tags": [{"name": name} for name in dict.fromkeys(group.tag for group in groups)],
        "paths": paths,
        "components": {
            "securitySchemes": {"basicAuth": {"type": "http", "scheme": "basic"}},
            "parameters": {_upper(part): _part(part) for part in sorted(shared_parts)},
            "responses": {name: _error(text) for name, text in _SHARED.values()},
            "schemas": schemas,
        },
    }


def _schemas(operations: list[Operation]) -> tuple[dict[type[BaseModel], Any], dict[str, Any]]:
    """How to refer to each model, and the definitions."""
    Mode = Literal["validation", "serialization"]
    wanted: dict[type[BaseModel], Mode] = {Error: "serialization"}
    for operation in operations:
        if operation.answer is not None:
            wanted[operation.answer] = "serialization"
        for model in (operation.query, operation.body):
            if model is not None:
                wanted[model] = "validation"
    references, definitions = models_json_schema(
        list(wanted.items()),
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    schemas = cast("dict[str, Any]", definitions["$defs"])
    names = {model: references[model, mode] for model, mode in wanted.items()}
    for operation in operations:
        if operation.query is not None:  # shown as parameters, not as a schema
            names[operation.query] = schemas.pop(operation.query.__name__, names[operation.query])
    return names, schemas


def _operation(
    operation: Operation, names: Mapping[type[BaseModel], Any], shared_parts: set[str]
) -> dict[str, Any]:
    lines = (operation.function.__doc__ or "").strip().partition("\n")
    shown: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [operation.group.tag],
        "summary": lines[0].rstrip("."),
        "x-role": operation.role,
    }
    if lines[2].strip():
        shown["description"] = " ".join(lines[2].split())
    parameters = [
        {"$ref": f"#/components/parameters/{_upper(part)}"} if part in shared_parts else _part(part)
        for part in operation.parts
    ]
    if operation.query is not None:
        parameters += _query_parameters(names[operation.query])
    if operation.once:
        parameters.append(_KEY_PARAMETER)
    if operation.wants_if_match:
        parameters.append(_MATCH_PARAMETER)
    if operation.stream is not None and issubclass(operation.stream, EventStream):
        parameters.append(_LAST_EVENT_PARAMETER)
    if parameters:
        shown["parameters"] = parameters
    if operation.body is not None:
        shown["requestBody"] = {
            "required": operation.body_required,
            "content": _content(_JSON, names[operation.body]),
        }
    shown["responses"] = _responses(operation, names)
    return shown


def _responses(operation: Operation, names: Mapping[type[BaseModel], Any]) -> dict[str, Any]:
    errors = {401: "", 500: "", **operation.errors}
    if operation.query is not None or operation.body is not None:
        errors.setdefault(400, "")
    if operation.once:
        errors.setdefault(409, "the Idempotency-Key came with another body before")
    if operation.wants_if_match:
        errors[412] = "it has changed meanwhile"
    good: dict[str, Any] = {"description": operation.description}
    if operation.tagged:
        good["headers"] = _TAG_HEADER
    if operation.answer is not None:
        media_type = _JSON if operation.stream is None else operation.stream.media_type
        if media_type:  # a WebSocket has none
            good["content"] = _content(media_type, names[operation.answer])
    responses: dict[str, Any] = {str(operation.status): good}
    for status, text in sorted(errors.items()):
        shared = f"#/components/responses/{_SHARED[status][0]}" if not text else None
        responses[str(status)] = {"$ref": shared} if shared else _error(text)
    responses["default"] = _error("any other error, such as 403, 405, 406, 413 or 415")
    return responses


def _query_parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters = []
    for name, shown in schema["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query"}
        if "description" in shown:
            parameter["description"] = shown["description"]
        parameter["schema"] = {key: shown[key] for key in shown if key != "description"}
        parameters.append(parameter)
    return parameters


def _part(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _upper(name: str) -> str:
    return name[:1].upper() + name[1:]


def _content(media_type: str, schema: Any) -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _error(description: str) -> dict[str, Any]:
    content = _content(_JSON, {"$ref": "#/components/schemas/Error"})
    return {"description": description, "content": content}
