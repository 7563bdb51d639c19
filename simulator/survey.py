"""The post-call survey: when the agent has hung up, the caller goes to another dialed number.

The number is that of the pattern by which the call came; its script or label treats the
caller like one who has dialed it. The ECC variable says ``n`` where a script wants none.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from simulator.leg import CALLERS, RINGTONE, VXML, Leg
from simulator.routing import NotRoutable

if TYPE_CHECKING:
    from simulator.call import Call

log = logging.getLogger(__name__)

WANTED: Final = "user.microapp.isPostCallSurvey"


def begin_survey(call: "Call", leg: Leg, now: float) -> bool:
    """The far end `leg` has hung up: whether its caller goes to a survey now."""
    number = call.route.survey
    if not number or leg is not call.peer or leg.kind in (VXML, RINGTONE) or call.work is not None:
        return False
    if not call.caller.up or call.caller.kind not in CALLERS:
        return False  # after a REFER of the caller's own the agent is in that place
    if call.variables is not None and call.variables.ecc.get(WANTED, "").lower() == "n":
        return False
    server = call.server
    try:
        route = server.plan.route_call(number)
        server.check_reachable(call, route)
    except NotRoutable as error:
        log.warning("%s: no survey: %s", call.guid, error)
        call.log(now, "no_survey", str(error))
        return False
    call.log(now, "survey", number)
    server.statistics.current.surveys += 1
    call.route = replace(route, survey="")
    call.application = route.application
    call.peer = None
    call.drop_treatment(now)
    server.treat(call, call.route, now)
    return True
