"""/openapi.json against the contract: nothing missing, and what is added only adds."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.app import GROUPS
from api.openapi import document
from tests.api.support import CONTRACT

OURS = document(GROUPS)
SCHEMAS = list(CONTRACT["components"]["schemas"])
OPERATIONS = [(path, method) for path, item in CONTRACT["paths"].items() for method in item]

# What a schema of ours may say beyond the contract: explanations, and limits of requests.
ADDED_ANSWER_KEYS = {"title", "description", "format"}
ADDED_REQUEST_KEYS = ADDED_ANSWER_KEYS | {
    *("additionalProperties", "propertyNames", "pattern"),
    *("minimum", "maximum", "maxLength", "default"),
}


def resolved(root: dict[str, Any], node: Any) -> Any:
    """`node` with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [resolved(root, one) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = root
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return resolved(root, found)
    return {key: resolved(root, value) for key, value in node.items()}


def differences(theirs: Any, ours: Any, allowed: set[str], where: str = "") -> Iterator[str]:
    """Where a schema of ours is not theirs, with no more than `allowed` keys added."""
    for key in theirs.keys() | ours.keys():
        place = f"{where}/{key}"
        if key not in theirs:
            if key not in allowed:
                yield f"{place} is added"
        elif key not in ours:
            yield f"{place} is missing"
        elif key == "properties":
            if theirs[key].keys() != ours[key].keys():
                yield f"{place}: {theirs[key].keys() ^ ours[key].keys()}"
            for name in theirs[key].keys() & ours[key].keys():
                yield from differences(
                    theirs[key][name], ours[key][name], allowed, f"{place}/{name}"
                )
        elif isinstance(theirs[key], dict):
            yield from differences(theirs[key], ours[key], allowed, place)
        elif key in ("enum", "required"):
            if sorted(theirs[key]) != sorted(ours[key]):
                yield f"{place}: {theirs[key]} and {ours[key]}"
        elif theirs[key] != ours[key]:
            yield f"{place}: {theirs[key]!r} and {ours[key]!r}"


def operations(path: str, method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        resolved(CONTRACT, CONTRACT["paths"][path][method]),
        resolved(OURS, OURS["paths"][path][method]),
    )


def json_schema(holder: dict[str, Any]) -> Any:
    return holder["content"]["application/json"]["schema"]


def test_the_document_is_as_the_contract_around_its_operations() -> None:
    assert OURS["openapi"] == CONTRACT["openapi"]
    assert OURS["security"] == CONTRACT["security"]
    for kind in ("securitySchemes", "parameters", "responses"):
        assert (
            resolved(OURS, OURS["components"][kind]).keys() >= CONTRACT["components"][kind].keys()
        )
    ours, theirs = (one["components"]["parameters"]["CallGuid"] for one in (OURS, CONTRACT))
    assert theirs.items() <= ours.items()
    assert ours.keys() - theirs.keys() <= {"description", "example"}
    assert OURS["components"]["securitySchemes"] == CONTRACT["components"]["securitySchemes"]
    names = [tag["name"] for tag in OURS["tags"]]
    assert [tag for tag in CONTRACT["tags"] if tag["name"] not in names] == []
    path = CONTRACT["servers"][0]["url"].partition(":8000")[2]
    assert OURS["servers"][0]["url"] == path == "/cvp/rest"


def test_paths_and_methods_are_those_of_the_contract() -> None:
    ours = {
        (path, method)
        for path, item in OURS["paths"].items()
        for method in item
        if "servers" not in item
    }
    assert ours == set(OPERATIONS)
    assert len(ours) == 11


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_is_as_in_the_contract(path: str, method: str) -> None:
    theirs, ours = operations(path, method)
    assert ours["operationId"] == theirs["operationId"]
    assert ours["tags"] == theirs["tags"]
    assert ours["responses"].keys() >= theirs["responses"].keys()
    for status, response in theirs["responses"].items():
        assert ours["responses"][status]["description"] == response["description"]
        if "content" in response:
            answer = json_schema(ours["responses"][status])
            wanted = json_schema(response)
            assert list(differences(wanted, answer, ADDED_ANSWER_KEYS)) == []
    added = ours["responses"].keys() - theirs["responses"].keys()
    assert added <= {"400", "401", "409", "412", "default"}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_parameters_are_those_of_the_contract(path: str, method: str) -> None:
    theirs, ours = (
        {(one["in"], one["name"]): one for one in operation.get("parameters", ())}
        for operation in operations(path, method)
    )
    assert theirs.keys() <= ours.keys()
    assert not any(ours[key].get("required") for key in ours.keys() - theirs.keys())
    for key, parameter in theirs.items():
        schema = dict(ours[key]["schema"])
        assert ours[key].get("required", False) == parameter.get("required", False)
        if "enum" in schema:  # ARCHITECTURE.md: on_hold is accepted
            schema["enum"] = [value for value in schema["enum"] if value != "on_hold"]
        assert list(differences(parameter["schema"], schema, ADDED_REQUEST_KEYS)) == []


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_request_bodies_are_those_of_the_contract(path: str, method: str) -> None:
    theirs, ours = operations(path, method)
    assert ("requestBody" in ours) == ("requestBody" in theirs)
    if "requestBody" in theirs:
        body, wanted = ours["requestBody"], theirs["requestBody"]
        assert body["required"] == wanted.get("required", False)
        assert list(differences(json_schema(wanted), json_schema(body), ADDED_REQUEST_KEYS)) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_as_in_the_contract(name: str) -> None:
    theirs = resolved(CONTRACT, CONTRACT["components"]["schemas"][name])
    ours = resolved(OURS, OURS["components"]["schemas"][name])
    request = name in ("TransferRequest", "CallVariablesUpdate")
    allowed = ADDED_REQUEST_KEYS if request else ADDED_ANSWER_KEYS
    assert list(differences(theirs, ours, allowed)) == []


def test_a_difference_is_seen() -> None:
    theirs = {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}
    for ours in (
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "integer", "enum": ["x"]}}},
        {"type": "object", "properties": {"a": {"type": "string", "enum": ["x", "y"]}}},
        {"type": "object", "properties": theirs["properties"], "required": ["a"]},
    ):
        assert list(differences(theirs, ours, ADDED_ANSWER_KEYS))


def test_each_further_path_says_where_it_is_served() -> None:
    further = {path: item for path, item in OURS["paths"].items() if "servers" in item}
    contract = {path for path in OURS["paths"] if path in CONTRACT["paths"]}
    assert set(further) == set(OURS["paths"]) - contract
    assert {"/livez", "/readyz", "/cvp-reporting/rest/cdr"} <= set(further)
    assert all(item["servers"] == [{"url": "/"}] for item in further.values())
