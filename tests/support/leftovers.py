"""What is left of calls in the tables of a call server and its SIP stack: nothing, in the end."""

from typing import Any

from simulator.call_index import CALL_STATES
from simulator.server import CallServer
from sip.endpoint import Endpoint


def endpoint_leftovers(endpoint: Endpoint) -> dict[str, int]:
    """Transactions, dialogs, answers without ACK and timers, where there are any."""
    sizes = {
        "clients": len(endpoint.clients),
        "servers": len(endpoint.servers),
        "merged": len(endpoint.merged),
        "sessions": len(endpoint.sessions),
        "owned": len(endpoint.owned),
        "unacknowledged": sum(endpoint.unacknowledged.values()),
        "timers": endpoint.wheel.running,
    }
    return {name: size for name, size in sizes.items() if size}


def leftovers(server: CallServer) -> dict[str, Any]:
    """Calls, agents that are busy, waiting commands, and what the endpoint has."""
    groups = server.skill_groups
    found = {
        "calls": list(server.calls),
        "index": [state for state in CALL_STATES if server.index.oldest(state, None, 1)[0]],
        "commands": list(server._stored),
        "waiting for the VRU": list(server.waiting.calls),
        "busy": {e: a.busy for e, a in groups.agents.items() if a.busy},
        "queues": {n: len(q.waiting) for n, q in groups.queues.items() if q.waiting},
        "faults": server.faults.kept,
        **endpoint_leftovers(server.stack.endpoint),
    }
    return {name: value for name, value in found.items() if value}
