"""Dialog information documents (RFC 4235): what a watcher is told about legs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree  # nosec B405 # written here, never parsed

from simulator.leg import Leg
from sip.dialog import name_addr_uri
from sip.errors import ParseError
from sip.usage.session import CONFIRMED, EARLY

CONTENT_TYPE: Final = "application/dialog-info+xml"
_NAMESPACE: Final = "urn:ietf:params:xml:ns:dialog-info"
_no_xml: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class DialogState:
    """The state of one dialog by section 3.7.1, `event` and `code` of its end where there is one.

    `ours`: the observed user is this server, not the far end of the leg.
    """

    state: str
    event: str = ""
    code: int = 0
    ours: bool = False


def state_of(leg: Leg, *, ours: bool) -> DialogState:
    """What a leg is at now."""
    session = leg.session
    if leg.ended:
        return _end_of(leg, ours=ours)
    if session.state == CONFIRMED:
        return DialogState("confirmed", ours=ours)
    if session.state != EARLY:
        return DialogState("trying", ours=ours)
    return DialogState("early" if session.dialog.remote_tag else "proceeding", ours=ours)


def _end_of(leg: Leg, *, ours: bool) -> DialogState:
    if leg.answered:
        if leg.status in (408, 481):
            return DialogState("terminated", "timeout" if leg.status == 408 else "error", ours=ours)
        # Where our BYE is under way the session is established still.
        by_us = leg.session.state == CONFIRMED
        return DialogState("terminated", "local-bye" if by_us == ours else "remote-bye", ours=ours)
    event = {487: "cancelled", 408: "timeout"}.get(leg.status, "rejected")
    return DialogState("terminated", event, leg.status, ours)


def document(
    entity: str, version: int, dialogs: Iterable[tuple[Leg, DialogState]], now: float, *, full: bool
) -> bytes:
    """The XML document (section 4); `full`: all dialogs there are, else those that changed."""
    root = ElementTree.Element(
        "dialog-info",
        xmlns=_NAMESPACE,
        version=str(version),
        state="full" if full else "partial",
        entity=_clean(entity),
    )
    for leg, state in dialogs:
        _dialog(root, leg, state, now)
    text: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return text


def _dialog(root: ElementTree.Element, leg: Leg, state: DialogState, now: float) -> None:
    session = leg.session
    dialog = session.dialog
    ours, theirs = dialog.local_tag, dialog.remote_tag
    local, remote = (ours, theirs) if state.ours else (theirs, ours)
    called_by_us = session.outgoing == state.ours
    attributes = {"id": dialog.local_tag, "call-id": dialog.call_id}
    if local:
        attributes["local-tag"] = local
    if remote:
        attributes["remote-tag"] = remote
    attributes["direction"] = "initiator" if called_by_us else "recipient"
    element = ElementTree.SubElement(
        root, "dialog", {name: _clean(value) for name, value in attributes.items()}
    )
    told = ElementTree.SubElement(element, "state")
    told.text = state.state
    if state.event:
        told.set("event", state.event)
    if state.code:
        told.set("code", str(state.code))
    if leg.answered:
        ElementTree.SubElement(element, "duration").text = str(int(now - leg.answered))
    us = (dialog.local, session.contact.partition("<")[2].partition(">")[0])
    them = (dialog.remote, dialog.target)
    for name, (party, target) in zip(
        ("local", "remote"), (us, them) if state.ours else (them, us), strict=True
    ):
        _party(ElementTree.SubElement(element, name), party, target)


def _party(element: ElementTree.Element, party: str, target: str) -> None:
    try:
        identity = name_addr_uri(party)
    except ParseError:
        identity = ""
    if identity:
        ElementTree.SubElement(element, "identity").text = _clean(identity)
    if target:
        ElementTree.SubElement(element, "target", uri=_clean(target))


def _clean(text: str) -> str:
    """What a peer wrote, without what XML cannot carry."""
    return _no_xml.sub("", text)
