"""Health: the server and its neighbours; and the probes of process managers."""

from typing import Final

from api.errors import ApiError
from api.keys import CallServer
from api.models import Connection, ConnectivityStatus, HealthStatus, HeartbeatQuery, Probe
from api.operations import Operations

health: Final = Operations("Health")
probes: Final = Operations("Probes", prefix="", negotiated=False)


@health.add("GET", "/health", "health")
async def get_call_server_health(server: CallServer) -> HealthStatus:
    """The state of the call server."""
    return HealthStatus.model_validate(server.health())


@health.add("GET", "/health/connectivity", "connectivity")
async def get_connectivity_status(server: CallServer) -> ConnectivityStatus:
    """The neighbours, each probed for this answer."""
    found = await server.connectivity()
    connections = [Connection.model_validate(view) for view in found]
    return ConnectivityStatus(connections=connections)


@probes.add("GET", "/livez", "the process answers")
async def get_liveness(server: CallServer) -> Probe:
    """Whether the process is alive."""
    return Probe(status="alive")


@probes.add("GET", "/readyz", "new calls are taken", errors={503: "starting or draining"})
async def get_readiness(server: CallServer) -> Probe:
    """Whether new calls are taken."""
    if not server.ready:
        raise ApiError(503, "the server starts or drains; ask again", code="NOT_READY")
    return Probe(status="ready")


@probes.add("GET", "/cvp/VBServlet", "calls are taken", errors={503: "starting or draining"})
async def get_heartbeat(server: CallServer, query: HeartbeatQuery) -> Probe:
    """The heartbeat that voice browsers and load balancers ask CVP for [CG-HA]."""
    return await get_readiness(server)
