"""What a voice browser does over HTTP: find the IVR service, fetch prompts."""

import re
from dataclasses import dataclass
from typing import Final

import aiohttp

from sip.grammar import format_host_port
from sip.message import Message

IVR_PORT: Final = 8000

_APP_INFO: Final = re.compile(r"<?(.+):([0-9]{1,5}):[0-9]{1,5}>?")
_PATIENCE: Final = 3.0


@dataclass(frozen=True, slots=True)
class IvrService:
    """Where the browser asks for its VoiceXML; `told` by App-Info, or guessed."""

    url: str
    told: bool


def ivr_service(invite: Message, source: str) -> IvrService:
    """App-Info, ``<HOST:8000:8443>``, names it; without, it is where the INVITE came from.

    Behind a proxy that is the proxy [CG-FLOW].
    """
    found = _APP_INFO.fullmatch((invite.get("app-info") or "").strip())
    if found is None:
        return IvrService(f"http://{format_host_port(source, IVR_PORT)}", False)
    return IvrService(f"http://{found[1]}:{found[2]}", True)


async def fetch_failure(url: str) -> str:
    """Why `url` cannot be fetched, as a VoiceXML event tells it; "" when it can."""
    try:
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            if answer.status < 400:
                return ""
            return f"error.badfetch.http.{answer.status} {url}"
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return f"error.badfetch {url}: {error}"
