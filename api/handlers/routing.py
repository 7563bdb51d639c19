"""Call Routing: what the dial plan would decide."""

from typing import Final

from api.keys import CallServer
from api.models import RoutingLookupRequest, RoutingResult, routing_result
from api.operations import Operations

routing: Final = Operations("Call Routing")


@routing.add("POST", "/routing/lookup", "routing result", role="read")
async def routing_lookup(server: CallServer, body: RoutingLookupRequest) -> RoutingResult:
    """Where a call to a number would go; nothing is dialed."""
    return routing_result(server.lookup(body.dialed_number, body.calling_number or None))
