"""What `examples.yaml` has for the OpenAPI document: examples, and links between operations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import yaml

from api.errors import ERRORS

_MOMENT: Final = "2026-05-28T20:26:52.250000Z"
_MESSAGES: Final = {code: message for _, _, code, message in ERRORS}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class OperationExamples:
    """Of one operation: bodies of requests by name, the body of the answer, codes by status.

    `links` are operations that go on from the answer, each with where their argument stands
    in it (a JSON pointer).
    """

    requests: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = None
    errors: Mapping[int, list[str]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Examples:
    """All of the file."""

    parameters: Mapping[str, Mapping[str, Any]]
    errors: Mapping[str, str]
    usual: Mapping[int, list[str]]
    operations: Mapping[str, OperationExamples]

    def of(self, operation_id: str) -> OperationExamples:
        """Those of one operation; empty ones where the file has none."""
        return self.operations.get(operation_id, OperationExamples())

    def error(self, status: int, codes: Iterable[str]) -> dict[str, Any]:
        """Error bodies with this status, by their code."""
        phrase = HTTPStatus(status).phrase.lower()
        return {
            code: {
                "value": {
                    "code": code,
                    "message": _MESSAGES.get(code, phrase),
                    "details": self.errors[code],
                    "timestamp": _MOMENT,
                }
            }
            for code in codes
        }


@cache
def examples() -> Examples:
    """What the file says."""
    text = (files("api") / "examples.yaml").read_text()
    content = yaml.load(text, _LOADER)  # nosec B506 # a file of this package
    operations = content.pop("operations")
    return Examples(
        **content, operations={name: OperationExamples(**o) for name, o in operations.items()}
    )
