"""OpenAPI 3.1 from the declared operations and their pydantic models.

Paths of the contract stand as in the contract, below the server ``/cvp/rest``; those of
other prefixes stand whole, with a server of their own. Examples and links come from
`api.examples`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from api.examples import OperationExamples, examples
from api.models import Error
from api.operations import CONTRACT_PREFIX, Operation, Operations
from api.streams import LAST_EVENT_ID, EventStream
from simulator.version import callsim_version

_JSON: Final = "application/json"
# Of each shared response: its name, what it says, and the codes of its examples.
_SHARED: Final = {
    400: ("BadRequest", "invalid request", ("INVALID_REQUEST", "NOT_ROUTABLE", "INVALID_VARIABLE")),
    401: ("Unauthorized", "credentials missing or wrong", ("UNAUTHORIZED",)),
    404: ("NotFound", "not found", ("PLAN_ENTRY_NOT_FOUND",)),
    500: ("InternalError", "internal error", ("INTERNAL_SERVER_ERROR",)),
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
    arguments = {one.operation_id: next(iter(one.parts), "") for one in operations}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        prefix = operation.group.prefix
        within = prefix == CONTRACT_PREFIX
        item = paths.setdefault(operation.path if within else prefix + operation.path, {})
        if not within:
            item["servers"] = [{"url": "/"}]
        shown = _operation(operation, names, shared_parts, arguments)
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
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": CONTRACT_PREFIX, "description": "this server"}],
        "security": [{"basicAuth": []}],
        "tags": [{"name": name} for name in dict.fromkeys(group.tag for group in groups)],
        "paths": paths,
        "components": {
            "securitySchemes": {"basicAuth": {"type": "http", "scheme": "basic"}},
            "parameters": {_upper(part): _part(part) for part in sorted(shared_parts)},
            "responses": {
                name: _error(text, examples().error(status, codes))
                for status, (name, text, codes) in _SHARED.items()
            },
            "schemas": schemas,
        },
    }


def with_full_paths(described: Mapping[str, Any]) -> dict[str, Any]:
    """`described` with each path whole and no servers: for tools that heed one server only."""
    paths = {}
    for path, item in described["paths"].items():
        own = "servers" in item
        whole = path if own else CONTRACT_PREFIX + path
        paths[whole] = {key: value for key, value in item.items() if key != "servers"}
    rest = {key: value for key, value in described.items() if key != "servers"}
    return {**rest, "paths": paths}


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
    operation: Operation,
    names: Mapping[type[BaseModel], Any],
    shared_parts: set[str],
    arguments: Mapping[str, str],
) -> dict[str, Any]:
    known = examples().of(operation.operation_id)
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
        parameters.append(_header("Idempotency-Key", "^[!-~]{1,255}$"))
    if operation.wants_if_match:
        parameters.append(_header("If-Match"))
    if operation.stream is not None and issubclass(operation.stream, EventStream):
        parameters.append(_header(LAST_EVENT_ID, "^[0-9]{1,16}$"))
    if parameters:
        shown["parameters"] = parameters
    if operation.body is not None:
        content = _content(_JSON, names[operation.body])
        if known.requests:
            content[_JSON]["examples"] = {
                name: {"value": value} for name, value in known.requests.items()
            }
        shown["requestBody"] = {"required": operation.body_required, "content": content}
    shown["responses"] = _responses(operation, names, known, arguments)
    return shown


def _responses(
    operation: Operation,
    names: Mapping[type[BaseModel], Any],
    known: OperationExamples,
    arguments: Mapping[str, str],
) -> dict[str, Any]:
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
            if known.answer is not None:
                good["content"][media_type]["example"] = known.answer
    if known.links:
        good["links"] = {
            target: {
                "operationId": target,
                "parameters": {arguments[target]: f"$response.body#{pointer}"},
            }
            for target, pointer in known.links.items()
        }
    responses: dict[str, Any] = {str(operation.status): good}
    for status, text in sorted(errors.items()):
        if text:
            codes = _codes(operation, known, status)
            responses[str(status)] = _error(text, examples().error(status, codes))
        else:
            shared = _SHARED[status][0]
            responses[str(status)] = {"$ref": f"#/components/responses/{shared}"}
    responses["default"] = _error("any other error, such as 403, 405, 406, 413 or 415", {})
    return responses


def _codes(operation: Operation, known: OperationExamples, status: int) -> list[str]:
    """The codes of the errors with this status that an operation shows."""
    codes: list[str] = []
    if status != 409 or status in operation.errors:
        codes += known.errors.get(status, examples().usual.get(status, []))
    if status == 409 and operation.once:
        codes.append("IDEMPOTENCY_KEY_REUSED")
    return codes


def _query_parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters = []
    for name, shown in schema["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query"}
        told = examples().parameters.get(name, {})
        description = shown.get("description", told.get("description"))
        if description:
            parameter["description"] = description
        parameter["schema"] = {key: shown[key] for key in shown if key != "description"}
        parameters.append(parameter)
    return parameters


def _header(name: str, pattern: str | None = None) -> dict[str, Any]:
    schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", **examples().parameters[name], "schema": schema}


def _part(name: str) -> dict[str, Any]:
    """A part of a path, which tests hold to have a description and an example."""
    told = examples().parameters.get(name, {})
    return {"name": name, "in": "path", "required": True, **told, "schema": {"type": "string"}}


def _upper(name: str) -> str:
    return name[:1].upper() + name[1:]


def _content(media_type: str, schema: Any) -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _error(description: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    content = _content(_JSON, {"$ref": "#/components/schemas/Error"})
    if shown:
        content[_JSON]["examples"] = shown
    return {"description": description, "content": content}
