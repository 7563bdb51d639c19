"""What the reporting interface is asked: which records, which figures, of which time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from api.models import PlainText, Query, WholeNumber
from simulator.cdr_queries import ServerType, SortBy, SortOrder
from simulator.cdr_records import CallResult

MAX_OFFSET: Final = 2**53
LATEST: Final = 253_402_300_799_999
"""Milliseconds since the epoch: the end of the year 9999."""

_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_EXAMPLE: Final = "2026-01-15T10:30:00Z; a + in a URL is written %2B"


def _moment(value: object) -> object:
    """RFC 3339 to milliseconds since the epoch; years before 1970 count as its begin."""
    if not isinstance(value, str):
        return value
    match = _MOMENT.fullmatch(value)
    if match is None:
        raise ValueError(f"must be a time as in RFC 3339 with its zone, such as {_EXAMPLE}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:  # second 60 is a leap second
        day_ = datetime(max(year, 1), month, day, hour, minute, min(second, 59), tzinfo=UTC)
        if second > 60:
            raise ValueError("second must be in 0..60")
    except ValueError as error:
        raise ValueError(f"is no time: {error}; write it like {_EXAMPLE}") from None
    at = (day_ - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    at += 1000 * (second == 60) + int((match[7] or ".")[1:4].ljust(3, "0"))
    zone = match[8]
    if zone not in "Zz":
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        if hours > 23 or minutes > 59:
            raise ValueError(f"has no such time zone as {zone}; write it like {_EXAMPLE}")
        at -= (1 if zone[0] == "+" else -1) * (hours * 60 + minutes) * 60_000
    return 0 if year == 0 else max(0, min(at, LATEST))


Moment = Annotated[
    int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Guid = Annotated[PlainText, AfterValidator(str.upper)]
Interval = Literal["fifteen_minutes", "thirty_minutes", "hourly", "daily"]

_START: Final = "Begin of the range, inclusive."
_END: Final = "End of the range, exclusive."


class RecordsQuery(Query):
    """Which records, in which order."""

    start_time: Moment | SkipJsonSchema[None] = Field(None, description=_START)
    end_time: Moment | SkipJsonSchema[None] = Field(None, description=_END)
    called_number: PlainText | SkipJsonSchema[None] = Field(None, description="The exact DNIS.")
    calling_number: PlainText | SkipJsonSchema[None] = Field(None, description="The exact ANI.")
    call_guid: Guid | SkipJsonSchema[None] = Field(None, description="The GUID of a call.")
    call_result: CallResult | SkipJsonSchema[None] = Field(None, description="How calls ended.")
    sort_by: SortBy = "callStartTime"
    sort_order: SortOrder = "desc"


class CdrQuery(RecordsQuery):
    """Which records, and which page of them."""

    offset: WholeNumber = Field(0, ge=0, le=MAX_OFFSET, description="Records to skip.")
    limit: WholeNumber = Field(100, ge=1, le=1000, description="Records to list at most.")
    cursor: WholeNumber = Field(
        0,
        ge=0,
        le=MAX_OFFSET,
        description="Where the page begins: as the Link of the page before says.",
    )


class RangeQuery(Query):
    """A range of time; the last 24 hours where nothing is said."""

    start_time: Moment | SkipJsonSchema[None] = Field(
        None, description=f"{_START} Unset: 24 hours before the end."
    )
    end_time: Moment | SkipJsonSchema[None] = Field(None, description=f"{_END} Unset: now.")


class SummaryQuery(RangeQuery):
    """Which calls to sum up, by which intervals."""

    interval: Interval = "hourly"
    called_number: PlainText | SkipJsonSchema[None] = Field(None, description="The exact DNIS.")


class ApplicationQuery(RangeQuery):
    """Which applications."""

    application_name: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only this application."
    )


class ServerQuery(RangeQuery):
    """Which servers."""

    server_type: ServerType | SkipJsonSchema[None] = Field(
        None, description="Only servers of this type."
    )


class RealtimeQuery(Query):
    """Which server."""

    server_id: PlainText | SkipJsonSchema[None] = Field(
        None, description="Only this server, by its name."
    )
