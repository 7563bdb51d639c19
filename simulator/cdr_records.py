"""Call detail records, and the row of a table that each becomes.

Field names follow the Reporting API of the profile [AE] and the `Call` table of the
reporting database [RG]. Times are whole milliseconds since the epoch, durations whole
milliseconds.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

from pydantic_core import PydanticSerializationError, to_json

from simulator.cdr_events import (
    CALL_TYPES,
    CAUSES,
    SUB_SYSTEMS,
    CallEvent,
    Mark,
    VxmlSession,
    events_of,
    sessions_of,
)
from simulator.errors import ServiceError

CallResult: TypeAlias = Literal["completed", "abandoned", "transferred", "error"]
LegType: TypeAlias = Literal["inbound", "outbound", "transfer", "conference"]

# CallTypeID and SubSystemTypeID [RG].
SIP_CALL: Final = 4
SIP_SUB_SYSTEM: Final = 0


class CdrStoreError(ServiceError):
    """The store cannot be opened or read; the text names the file and the fix."""


@dataclass(slots=True)
class LegRecord:
    """One leg of a call. `leg_id` is its Call-ID up to the ``@`` [TN178].

    `kind` is what the call server calls it: caller, callee, vxml, agent, transfer and so on.
    """

    leg_id: str
    call_guid: str
    leg_type: LegType
    start_time: int
    end_time: int
    from_uri: str = ""
    to_uri: str = ""
    server_hostname: str = ""
    sip_response_code: int | None = None
    answer_time: int | None = None
    kind: str = ""

    @property
    def duration(self) -> int:
        """Milliseconds from start to end."""
        return self.end_time - self.start_time


@dataclass(slots=True)
class CdrRecord:
    """One call, once it has ended. `calling_number` is the ANI, `called_number` the DNIS.

    `cause_id`, `call_type_id` and `sub_system_type_id` are numbers of [RG]: 1 normal
    completion, 4 SIP call, 0 SIP sub-system. `transfer_count` counts transfers to the VRU
    and to agents alike, as there. `icm_call_key` is ``DAY-KEY-SEQUENCE`` of the router.
    `marks` is what `simulator.cdr_events` makes events of, besides the legs.
    `local_time_zone_offset`, in minutes, is not kept: who shows a record sets it.
    """

    call_guid: str
    call_start_time: int
    call_end_time: int
    calling_number: str = ""
    called_number: str = ""
    call_result: CallResult = "completed"
    self_service_duration: int = 0
    queue_duration: int = 0
    application_name: str = ""
    call_server_hostname: str = ""
    vxml_server_hostname: str = ""
    sip_call_id: str = ""
    icm_call_key: str = ""
    transfer_destination: str = ""
    error_code: str | None = None
    cause_id: int = 1
    call_type_id: int = SIP_CALL
    sub_system_type_id: int = SIP_SUB_SYSTEM
    uui: str | None = None
    hold_count: int = 0
    application_count: int = 0
    transfer_count: int = 0
    timeout_count: int = 0
    error_count: int = 0
    ecc_variables: dict[str, str] = field(default_factory=dict)
    legs: list[LegRecord] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    local_time_zone_offset: int = 0

    @property
    def call_duration(self) -> int:
        """Milliseconds from start to end."""
        return self.call_end_time - self.call_start_time

    @property
    def events(self) -> list[CallEvent]:
        """The rows of the table `CallEvent`."""
        return events_of(self)

    @property
    def vxml_sessions(self) -> list[VxmlSession]:
        """The rows of the table `VXMLSession`."""
        return sessions_of(self)

    @property
    def ii_digits(self) -> str:
        """IIdigits: the kind of line that the caller has, where its gateway says so.

        It does in the URI of From or of P-Asserted-Identity, or in the OLI of GTD; the last
        two are in the record where ICM has them (`headers.to_icm`, `headers.gtd_parameters`).
        """
        said = [leg.from_uri for leg in self.legs[:1]]
        said.append(self.ecc_variables.get("user.sip.p_asserted_identity", ""))
        for text in said:
            if (found := _LINE.search(text)) is not None:
                return found[1]
        return self.ecc_variables.get("user.gtd.oli", "")

    @property
    def cause(self) -> str:
        """The name of the cause."""
        return CAUSES.get(self.cause_id, "")

    @property
    def call_type(self) -> str:
        """The name of the call type."""
        return CALL_TYPES.get(self.call_type_id, "")

    @property
    def sub_system_type(self) -> str:
        """The name of the sub-system."""
        return SUB_SYSTEMS.get(self.sub_system_type_id, "")

    @property
    def router_call_key_day(self) -> int | None:
        """RouterCallKeyDay of `CallICMInfo`; None without ICM."""
        return self._router_key(0)

    @property
    def router_call_key(self) -> int | None:
        """RouterCallKey."""
        return self._router_key(1)

    @property
    def router_call_key_sequence_number(self) -> int | None:
        """RouterCallKeySequenceNumber."""
        return self._router_key(2)

    def _router_key(self, part: int) -> int | None:
        parts = self.icm_call_key.split("-")
        return int(parts[part]) if len(parts) > part and parts[part].isdecimal() else None


# Gateways write one or the other.
_LINE: Final = re.compile(r";(?:isup-)?oli=([0-9]+)", re.IGNORECASE)

# The columns of the table but its id: those of plain values, then three of JSON.
_JSON_COLUMNS: Final = ("ecc_variables", "legs", "marks")
_NO_PLAIN_COLUMNS: Final = (*_JSON_COLUMNS, "local_time_zone_offset")
PLAIN_COLUMNS: Final = tuple(n for n in CdrRecord.__slots__ if n not in _NO_PLAIN_COLUMNS)
COLUMNS: Final = (*PLAIN_COLUMNS, *_JSON_COLUMNS)
Row: TypeAlias = tuple[Any, ...]
"""The values of `COLUMNS`: what the store takes, and what it keeps."""

LegValues: TypeAlias = tuple[str, LegType, int, int, str, str, str, int | None, int | None, str]
"""A leg as the JSON of a row has it: the fields of `LegRecord` but the GUID.

Rows of former versions lack the last ones.
"""

_LEG_FIELDS: Final = tuple(name for name in LegRecord.__slots__ if name != "call_guid")
_plain_values: Final = attrgetter(*PLAIN_COLUMNS)
_leg_values: Final = attrgetter(*_LEG_FIELDS)


def to_row(record: CdrRecord) -> Row:
    """The row of `record`."""
    legs = [_leg_values(leg) for leg in record.legs]
    return (
        *_plain_values(record),
        as_json(record.ecc_variables),
        as_json(legs),
        as_json(record.marks),
    )


def as_json(value: Mapping[str, str] | Sequence[LegValues] | Sequence[Mark]) -> str | None:
    """The text of a JSON column, None for an empty one."""
    if not value:
        return None
    try:
        return to_json(value).decode()
    except PydanticSerializationError:  # a peer's octets that are no UTF-8: see `repaired`
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def from_row(row: Row) -> CdrRecord:
    """The record whose `COLUMNS` have these values."""
    *plain, ecc, legs, marks = row
    record = CdrRecord(*plain)
    record.ecc_variables = json.loads(ecc) if ecc else {}
    for values in json.loads(legs) if legs else ():
        leg = dict(zip(_LEG_FIELDS, values, strict=False))
        record.legs.append(LegRecord(call_guid=record.call_guid, **leg))
    record.marks = [tuple(mark) for mark in json.loads(marks)] if marks else []
    return record


def repaired(row: Row) -> Row:
    """A row that SQLite can take whatever stood in it: text as UTF-8, numbers of 64 bits."""
    record = from_row(row)

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, int):
            return max(-(2**63), min(value, 2**63 - 1))
        return value if value is None or isinstance(value, float) else str(value)

    fields = {name: plain(getattr(record, name)) for name in PLAIN_COLUMNS}
    required = {"call_guid": "", "call_start_time": 0, "call_end_time": 0}
    fields |= {name: value for name, value in required.items() if fields[name] is None}
    ecc = {plain(str(name)): plain(value) for name, value in record.ecc_variables.items()}
    legs = [LegRecord(**{k: plain(v) for k, v in asdict(leg).items()}) for leg in record.legs]
    marks = [(*map(plain, mark[:4]), plain(mark[4])) for mark in record.marks]
    return to_row(CdrRecord(**fields, ecc_variables=ecc, legs=legs, marks=marks))
