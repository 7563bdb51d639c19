"""Simulated neighbours: VXML gateway, agents and caller, each a real SIP endpoint.

They know nothing of the call server but its address: a gateway, SIPp or a phone can take
the place of each.
"""

from simulator.lab.agents import Agents, Extension
from simulator.lab.call import Ending, LabCall
from simulator.lab.caller import Caller, CallerCall
from simulator.lab.endpoint import LabEndpoint
from simulator.lab.lab import Lab
from simulator.lab.vxml import VxmlCall, VxmlGateway

__all__ = [
    "Agents",
    "Caller",
    "CallerCall",
    "Ending",
    "Extension",
    "Lab",
    "LabCall",
    "LabEndpoint",
    "VxmlCall",
    "VxmlGateway",
]
