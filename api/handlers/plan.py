"""Administration: the dial plan and the server groups of the server that runs.

The shapes are those of the profile's Administration API. A change is in force for the next
call, is kept over a restart, and is an entry of the audit trail.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from api.errors import ApiError, shown
from api.keys import CallServer
from api.listing import Json, written
from api.operations import Operations
from api.plan_models import (
    DialedNumberPattern,
    DialedNumberPatternCreate,
    DialedNumberPatterns,
    SipServerGroup,
    SipServerGroupCreate,
    SipServerGroups,
    SipTrunk,
    SipTrunks,
    group_of,
    number_of,
)
from simulator.audit_trail import Requester
from simulator.config_base import Section
from simulator.config_dial_plan import ServerGroupSection
from simulator.config_plan import DialedNumber
from simulator.errors import PlanConflict

plan: Final = Operations("Administration", prefix="/oamp/rest")

S = TypeVar("S", bound=Section)

_CONFLICT: Final = "it does not fit to what is there"
_NAMES: Final[Mapping[str, str]] = {
    "call_type": "callType",
    "application": "applicationName",
    "script": "applicationName",
    "server_group": "sipServerGroup",
    "survival_application": "survivalApplication",
    "name": "groupName",
    "host": "ipAddress",
    "load_balancing": "loadBalancing",
}


def _section(kind: type[S], entry: Mapping[str, Any]) -> S:
    """The entry, checked as in the configuration file; ApiError 400 names field and fix."""
    try:
        return kind.model_validate({k: v for k, v in entry.items() if v is not None})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        names = [_NAMES.get(str(part), str(part)) for part in fault["loc"]]
        text = fault["msg"].removeprefix("Value error, ")
        where = ".".join(names) or "the body"
        details = f"{where}: {text} (given: {shown(fault['input'])})"
        raise ApiError(400, details, code="INVALID_REQUEST") from None


@plan.add("GET", "/dialedNumberPattern", "List of dialed number patterns")
async def list_dialed_number_patterns(server: CallServer) -> Json[DialedNumberPatterns]:
    """The dial plan, in the order of its list."""
    numbers = server.administration.numbers().items()
    return await written(
        lambda: DialedNumberPatterns([DialedNumberPattern.of(*entry) for entry in numbers])
    )


@plan.add("POST", "/dialedNumberPattern", "Pattern created", status=201, errors={409: _CONFLICT})
async def create_dialed_number_pattern(
    server: CallServer, who: Requester, body: DialedNumberPatternCreate
) -> DialedNumberPattern:
    """Add a pattern, at the end of the list."""
    number = _section(DialedNumber, number_of(body, None))
    name = await server.administration.add_number(who, number)
    return DialedNumberPattern.of(name, number)


@plan.add("GET", "/dialedNumberPattern/{patternId}", "Pattern details", errors={404: ""})
async def get_dialed_number_pattern(server: CallServer, pattern_id: str) -> DialedNumberPattern:
    """One pattern."""
    return DialedNumberPattern.of(pattern_id, server.administration.number(pattern_id))


@plan.add(
    "PUT",
    "/dialedNumberPattern/{patternId}",
    "Pattern updated",
    errors={404: "", 409: _CONFLICT},
)
async def update_dialed_number_pattern(
    server: CallServer, who: Requester, pattern_id: str, body: DialedNumberPatternCreate
) -> DialedNumberPattern:
    """Replace a pattern.

    What is not shown here, such as a label, stays while applicationName stays.
    """
    present = server.administration.number(pattern_id)
    number = _section(DialedNumber, number_of(body, present))
    await server.administration.set_number(who, pattern_id, number)
    return DialedNumberPattern.of(pattern_id, number)


@plan.add(
    "DELETE", "/dialedNumberPattern/{patternId}", "Pattern deleted", status=204, errors={404: ""}
)
async def delete_dialed_number_pattern(server: CallServer, who: Requester, pattern_id: str) -> None:
    """Take a pattern out of the plan."""
    await server.administration.set_number(who, pattern_id, None)


def _group(server: CallServer, name: str) -> SipServerGroup:
    server.administration.group(name)
    views = {view.group_id: view for view in server.administration.group_views()}
    return SipServerGroup.model_validate(views[name])


@plan.add("GET", "/sipserver", "List of SIP server groups")
async def list_sip_servers(server: CallServer) -> SipServerGroups:
    """The server groups, with the state of each server."""
    views = server.administration.group_views()
    return SipServerGroups([SipServerGroup.model_validate(view) for view in views])


@plan.add("POST", "/sipserver", "SIP server group created", status=201, errors={409: _CONFLICT})
async def create_sip_server_group(
    server: CallServer, who: Requester, body: SipServerGroupCreate
) -> SipServerGroup:
    """Add a server group."""
    group = _section(ServerGroupSection, group_of(body, None))
    await server.administration.add_group(who, group)
    return _group(server, group.name)


@plan.add("GET", "/sipserver/{groupId}", "SIP server group", errors={404: ""})
async def get_sip_server_group(server: CallServer, group_id: str) -> SipServerGroup:
    """One server group, with the state of each server."""
    return _group(server, group_id)


@plan.add(
    "PUT",
    "/sipserver/{groupId}",
    "SIP server group updated",
    errors={404: "", 409: _CONFLICT},
)
async def update_sip_server_group(
    server: CallServer, who: Requester, group_id: str, body: SipServerGroupCreate
) -> SipServerGroup:
    """Replace a server group; its name stays, as routes lead there.

    Servers that stay keep their state. What is not shown here, such as the heartbeat, stays.
    """
    present = server.administration.group(group_id)
    group = _section(ServerGroupSection, group_of(body, present))
    if group.name != group_id:
        given = shown(body.group_name)
        raise PlanConflict(
            f"groupName: {given} is another name; give {shown(group_id)}, or add a new group"
        )
    await server.administration.set_group(who, group_id, group)
    return _group(server, group_id)


@plan.add(
    "DELETE",
    "/sipserver/{groupId}",
    "SIP server group deleted",
    status=204,
    errors={404: "", 409: _CONFLICT},
)
async def delete_sip_server_group(server: CallServer, who: Requester, group_id: str) -> None:
    """Remove a server group that nothing leads to."""
    await server.administration.set_group(who, group_id, None)


@plan.add("GET", "/siptrunk", "List of trunks")
async def list_sip_trunks(server: CallServer) -> SipTrunks:
    """The registrars where this server registers, and how that stands."""
    views = server.administration.trunk_views()
    return SipTrunks([SipTrunk.model_validate(view) for view in views])
