"""Faults on demand: rules that do harm to SIP messages."""

from typing import Final

from api.fault_models import Fault, FaultRequest, Faults, FaultSets, FaultUpdate
from api.handlers.transfers import SIM_PREFIX
from api.keys import CallServer
from api.operations import Operations
from simulator.audit_trail import Requester
from simulator.fault_rules import ActiveRule

faults: Final = Operations("Faults", SIM_PREFIX)

_UNKNOWN: Final = "no such fault"


@faults.add("GET", "/faults", "the faults")
async def list_faults(server: CallServer) -> Faults:
    """The rules, in the order in which messages meet them, each with how often it has fired."""
    return Faults(faults=[Fault.of(rule) for rule in server.faults.rules.values()])


@faults.add(
    "POST",
    "/faults",
    "the fault, which is in force",
    status=201,
    errors={409: "the name is taken, or there are too many"},
    once=True,
)
async def create_fault(server: CallServer, who: Requester, body: FaultRequest) -> Fault:
    """Have something go wrong with SIP messages, until the server stops or is reset.

    A message meets the rules in their order. One that changes it (corrupt, sdp) hands it on to
    the next; any other that fires has the last word. With set the rule is a ready-made one.
    """
    rule = server.faults.add(body)
    trail = server.administration.trail
    await trail.record(who, "create", "fault", rule.name, None, _recorded(rule))
    return Fault.of(rule)


@faults.add("DELETE", "/faults", "the faults that there were")
async def delete_faults(server: CallServer, who: Requester) -> Faults:
    """Take all rules away; messages that are held back are lost."""
    rules = server.faults.rules.values()
    there = Faults(faults=[Fault.of(rule) for rule in rules])
    recorded = {rule.name: _recorded(rule) for rule in rules}
    server.faults.clear()
    for name, before in recorded.items():
        await server.administration.trail.record(who, "delete", "fault", name, before)
    return there


@faults.add("GET", "/fault-sets", "the ready-made faults")
async def list_fault_sets(server: CallServer) -> FaultSets:
    """What set can name."""
    return FaultSets.all()


@faults.add("GET", "/faults/{faultName}", "the fault", errors={404: _UNKNOWN})
async def get_fault(server: CallServer, fault_name: str) -> Fault:
    """One rule, and how often it has fired."""
    return Fault.of(server.faults.find(fault_name))


@faults.add("PATCH", "/faults/{faultName}", "the fault", errors={404: _UNKNOWN})
async def switch_fault(
    server: CallServer, who: Requester, fault_name: str, body: FaultUpdate
) -> Fault:
    """Switch a rule on or off; its counters go on."""
    before = _recorded(server.faults.find(fault_name))
    rule = server.faults.switch(fault_name, enabled=body.enabled)
    trail = server.administration.trail
    await trail.record(who, "replace", "fault", rule.name, before, _recorded(rule))
    return Fault.of(rule)


@faults.add("DELETE", "/faults/{faultName}", "deleted", status=204, errors={404: _UNKNOWN})
async def delete_fault(server: CallServer, who: Requester, fault_name: str) -> None:
    """Take a rule away; a message that it holds back goes on in its time."""
    before = _recorded(server.faults.find(fault_name))
    server.faults.remove(fault_name)
    await server.administration.trail.record(who, "delete", "fault", fault_name, before)


def _recorded(rule: ActiveRule) -> dict[str, object]:
    return {**rule.rule.model_dump(exclude_defaults=True), "enabled": rule.enabled}
