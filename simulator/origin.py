"""Where a call came from, as far as that decides where its legs go [SDG-CVP, CG-SYS].

Significant digits stand before every label again, a site id in the number to the VRU; a
label may be sent back to the caller's own host.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulator.config_base import covers
from simulator.config_values import SipTarget, join_address
from sip.dialog import name_addr_uri
from sip.errors import ParseError
from sip.message import Request
from sip.uri import SipUri

if TYPE_CHECKING:
    from simulator.config_dial_plan import DialPlanSection

_IOS: Final = re.compile(r"\bIOS\b")
_ORIGINAL_HOST: Final = "purpose=x-cisco-origip"


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """What the dial plan knows of a caller.

    `digits` were taken off the dialed number; `site` is the id of the caller's location;
    `host` is a SIP URI without user that leads to the caller's gateway, None unless labels
    may be sent there; `server_group` is that of the dialed number.
    """

    digits: str = ""
    site: str = ""
    host: SipTarget | None = None
    server_group: str = ""


NO_ORIGIN: Final = CallOrigin()


def leading_digits(section: "DialPlanSection", called: str) -> str:
    """What `significant_digits` takes off a dialed number: nothing, where nothing would be left."""
    count = section.significant_digits
    return called[:count] if len(called) > count else ""


def origin_of(
    section: "DialPlanSection", request: Request, called: str, address: str
) -> CallOrigin:
    """The origin of a call to `called` whose INVITE came from the IP `address`."""
    digits = leading_digits(section, called)
    sites = section.location.sites
    site = next((one.id for one in sites if covers(one.gateways, address)), "") if sites else ""
    host = _gateway(request) if section.send_to_originator else None
    return CallOrigin(digits, site, host)


def _gateway(request: Request) -> SipTarget | None:
    """Send to originator takes Remote-Party-ID, and an IOS gateway by its User-Agent.

    The host is the one that a proxy has put into Call-Info, else that of the Contact
    (inferred: the guides say "the host of the caller").
    """
    if request.get("remote-party-id") is None or not _IOS.search(request.get("user-agent") or ""):
        return None
    try:
        uri = name_addr_uri(request.get("contact") or "")
        for value in request.values("call-info"):
            if _ORIGINAL_HOST in value.lower():
                uri = name_addr_uri(value)
        parsed = SipUri.parse(uri)
        text = f"{parsed.scheme}:{join_address(parsed.host, parsed.port)}"
        transport = parsed.transport
        return SipTarget.parse(f"{text};transport={transport}" if transport else text)
    except (ParseError, ValueError):
        return None
