"""The examples and links of /openapi.json: all there, true to their schemas, and accepted."""

import itertools
import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from openapi_spec_validator import validate
from pydantic import RootModel

from api.app import GROUPS
from api.connection import read
from api.errors import ERRORS
from api.examples import examples
from api.openapi import document, with_full_paths
from api.operations import Operation
from tests.api.support import FakeCallServer, call_view, run, serving, simulated_phones
from tests.api.test_contract import resolved

OPERATIONS = {operation.operation_id: operation for group in GROUPS for operation in group.declared}
DOCUMENT = document(GROUPS)
FULL = with_full_paths(DOCUMENT)
API = Path(__file__).parents[2] / "api"


def shown(operation: Operation) -> dict[str, Any]:
    """The operation in the document."""
    path = operation.group.prefix + operation.path
    found: dict[str, Any] = FULL["paths"][path][operation.method.lower()]
    return found


def closed(node: Any) -> Any:
    """Schemas that take no field that they do not name."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    inner = {key: closed(value) for key, value in node.items()}
    if isinstance(inner.get("properties"), dict) and inner.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


SCHEMAS = {"components": {"schemas": closed(DOCUMENT["components"]["schemas"])}}


def faults(value: Any, schema: Any) -> list[str]:
    """What is wrong with a value, by its schema."""
    validator = jsonschema_rs.Draft202012Validator({**schema, **SCHEMAS}, validate_formats=True)
    return [error.message for error in validator.iter_errors(value)]


def contents(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each body that is documented: where, and its media type's object."""
    described = resolved(DOCUMENT, {**shown(operation), "links": None})
    bodies = {"request": described.get("requestBody", {}), **described["responses"]}
    for where, body in bodies.items():
        for content in body.get("content", {}).values():
            yield where, content


def values(content: dict[str, Any]) -> list[Any]:
    """Its examples."""
    many = [one["value"] for one in content.get("examples", {}).values()]
    return many + ([content["example"]] if "example" in content else [])


@pytest.mark.parametrize("described", [DOCUMENT, FULL], ids=["as served", "full paths"])
def test_the_document_is_valid(described: dict[str, Any]) -> None:
    validate(json.loads(json.dumps(described)))


def test_the_file_has_nothing_that_is_not_used() -> None:
    known = examples()
    assert set(known.operations) - set(OPERATIONS) == set()
    names = {
        parameter["name"]
        for operation in OPERATIONS.values()
        for parameter in resolved(DOCUMENT, shown(operation)).get("parameters", ())
    }
    assert set(known.parameters) - names == set()
    used = {
        code
        for operation in OPERATIONS.values()
        for _, content in contents(operation)
        for code in content.get("examples", {})
    }
    assert set(known.errors) - used == set()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_its_examples(name: str) -> None:
    """A missing one is to be added to api/examples.yaml."""
    operation = OPERATIONS[name]
    for where, content in contents(operation):
        found = values(content)
        if where != "default":
            assert found, f"{name} has no example of {where}: add one to api/examples.yaml"
        for value in found:
            assert faults(value, content["schema"]) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_is_shown_whole(name: str) -> None:
    """With all that the model does not let be left out."""
    operation = OPERATIONS[name]
    model, value = operation.answer, examples().of(name).answer
    if model is None or operation.stream is not None:
        return
    if issubclass(model, RootModel):
        (line,) = get_args(model.model_fields["root"].annotation)
        lines = [read(line, one) for one in value]
        assert lines
    else:
        assert read(model, value)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_error_is_one_of_the_status_that_it_stands_under(name: str) -> None:
    statuses = {code: status for _, status, code, _ in ERRORS}
    source = "".join(path.read_text() for path in API.rglob("*.py"))
    for where, content in contents(OPERATIONS[name]):
        if not where.startswith(("4", "5")):
            continue
        for code, example in content["examples"].items():
            assert example["value"]["code"] == code
            general = HTTPStatus(int(where)).name
            assert statuses.get(code, int(where)) == int(where)
            assert code in statuses or code == general or f'"{code}"' in source


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_parameter_is_described(name: str) -> None:
    for parameter in resolved(DOCUMENT, shown(OPERATIONS[name])).get("parameters", ()):
        assert parameter.get("description"), parameter["name"]
        if parameter["in"] == "path":
            assert faults(parameter["example"], parameter["schema"]) == []
        else:  # it would be sent by whoever tries the operation
            assert "example" not in parameter


def at(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to."""
    for part in pointer.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_link_leads_on(name: str) -> None:
    operation = OPERATIONS[name]
    answer = shown(operation)["responses"][str(operation.status)]
    for link in answer.get("links", {}).values():
        target = OPERATIONS[link["operationId"]]
        ((argument, expression),) = link["parameters"].items()
        assert list(target.parts) == [argument]
        found = at(examples().of(name).answer, expression.removeprefix("$response.body#"))
        assert isinstance(found, str)


def test_links_lead_a_call_through_its_life() -> None:
    links = {name: examples().of(name).links for name in OPERATIONS}
    life = "originateCall getCallDetails transferCall terminateCall getCallDetailRecord".split()
    for name, following in itertools.pairwise(life):
        assert following in links[name]


def walk(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All objects of the document with their places."""
    if isinstance(node, list):
        for index, one in enumerate(node):
            yield from walk(one, f"{where}/{index}")
    elif isinstance(node, dict):
        yield where, node
        for key, one in node.items():
            yield from walk(one, f"{where}/{key}")


def test_postman_can_import_it() -> None:
    """Its importer stumbles over these: all are legal."""
    ids = [o["operationId"] for item in FULL["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    assert FULL["components"]["securitySchemes"].keys() == {"basicAuth"}
    for where, node in walk(FULL):
        if "/example" in where:
            continue
        assert "nullable" not in node, where
        assert isinstance(node.get("type", ""), str | dict), f"{where}: several types"
        assert node.get("examples", ...) != {}, where
        assert node.get("example", ...) is not None, where
        assert "$ref" not in node or len(node) == 1, f"{where}: beside $ref"


WITH_BODY = [
    (name, body) for name in OPERATIONS for body in examples().of(name).requests
]  # fmt: skip


@pytest.mark.parametrize(("name", "body"), WITH_BODY)
@run
async def test_the_server_takes_what_is_shown(name: str, body: str) -> None:
    """The argument in the path comes by a link from where such things are made."""
    guid = examples().parameters["callGuid"]["example"]
    fake = FakeCallServer(calls={guid: call_view(guid)})
    operation = OPERATIONS[name]
    async with simulated_phones(fake), serving(fake) as client:

        async def answer(name: str, body: str, **arguments: str) -> Any:
            operation = OPERATIONS[name]
            path = operation.group.prefix + operation.path.format(**arguments)
            sent = examples().of(name).requests[body]
            reply = await client(operation.method, path, json=sent)
            assert reply.status == operation.status, reply.text
            return reply.json

        arguments = {part: examples().parameters[part]["example"] for part in operation.parts}
        for maker in OPERATIONS:
            pointer = examples().of(maker).links.get(name)
            if maker.startswith("create") and pointer is not None:
                first = next(iter(examples().of(maker).requests))
                (part,) = operation.parts
                arguments[part] = at(await answer(maker, first), pointer)
        await answer(name, body, **arguments)
