"""Long lists: straight from the views of the simulator to JSON, and in turns.

`pydantic_core` writes the lines itself, by a serializer made from the model that the
contract's schema is made from; no model is made for a line. A list that takes longer than
calls should wait is written in pieces, and whatever else there is to do comes in between.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import CoreSchema, PydanticSerializationError, SchemaSerializer, core_schema

AT_ONCE: Final = 500
"""Lines written in one turn of the event loop: well below a millisecond."""

Model = TypeVar("Model", bound=BaseModel)


class Json(Generic[Model]):
    """JSON that says what a `Model` would, and header fields that go with it."""

    __slots__ = ("body", "headers")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.headers: dict[str, str] = {}


async def written(make: Callable[[], Model]) -> Json[Model]:
    """What `make` makes, by another thread: for what takes longer than calls should wait."""

    def write() -> bytes:
        return make().model_dump_json(by_alias=True, exclude_none=True).encode()

    return Json(await asyncio.to_thread(write))


class Listing(Generic[Model]):
    """Writes an answer `model` of a number and a list, whose lines are `view` objects."""

    def __init__(self, model: type[Model], view: type) -> None:
        total, lines = model.model_fields.items()
        (self._line,) = lines[1].annotation.__args__  # type: ignore[union-attr]
        self._head = f'{{"{total[1].serialization_alias}":%d,"{lines[1].serialization_alias}":['
        self._serializer = SchemaSerializer(core_schema.list_schema(_schema(self._line, view)))

    async def of(self, total: int, views: Iterable[object]) -> Json[Model]:
        """The answer: `total`, and a line for each of `views`."""
        rest = iter(views)
        pieces: list[bytes] = []
        while some := list(islice(rest, AT_ONCE)):
            pieces.append(self._lines(some))
            if len(some) == AT_ONCE:
                await asyncio.sleep(0)
        return Json(b"%b%b]}" % ((self._head % total).encode(), b",".join(pieces)))

    def _lines(self, views: list[object]) -> bytes:
        try:
            return self._serializer.to_json(views, by_alias=True, exclude_none=True)[1:-1]
        except PydanticSerializationError:  # text that UTF-8 cannot carry: the models mend it
            lines = map(self._line.model_validate, views)
            shown = [line.model_dump_json(by_alias=True, exclude_none=True) for line in lines]
            return ",".join(shown).encode()


class Writer(Generic[Model]):
    """Writes a `view` as a `Model` would."""

    def __init__(self, model: type[Model], view: type) -> None:
        self._model = model
        self._serializer = SchemaSerializer(_schema(model, view))

    def json(self, view: object) -> bytes:
        """The JSON of one view."""
        try:
            return self._serializer.to_json(view, by_alias=True, exclude_none=True)
        except PydanticSerializationError:  # as above
            shown = self._model.model_validate(view)
            return shown.model_dump_json(by_alias=True, exclude_none=True).encode()


def _schema(model: type[BaseModel], view: type) -> CoreSchema:
    """How to show a `view` as `model` would show what it validates from it."""
    names, fields = [], []
    for name, field in model.model_fields.items():
        source = str(field.validation_alias or name)
        names.append(source)
        fields.append(
            core_schema.dataclass_field(
                source, _value(field.annotation), serialization_alias=field.serialization_alias
            )
        )
    shape = core_schema.dataclass_args_schema(view.__name__, fields)
    return core_schema.dataclass_schema(view, shape, names, slots=True)


def _value(annotation: Any) -> CoreSchema:
    if annotation is datetime:  # views have seconds
        shown = core_schema.plain_serializer_function_ser_schema(
            _utc, return_schema=core_schema.datetime_schema()
        )
        return core_schema.any_schema(serialization=shown)
    return TypeAdapter(annotation).core_schema


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
