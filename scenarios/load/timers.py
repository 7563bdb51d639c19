"""A SIPp scenario as a load run has it: with timers that tell how long answers take.

Scenarios are written to show something, seldom to be timed. Named timers (`start_rtd`, `rtd`)
are put in where there are none: `ringing` and `answer` from the first INVITE that is sent to the
first 18x and the 200, `refer` from a REFER that is sent to the last NOTIFY. What a scenario times
itself, by names of its own, stays.
"""

import re
from collections.abc import Iterator
from typing import Final

RINGING: Final = "ringing"
ANSWER: Final = "answer"
REFER: Final = "refer"
TERMINATE: Final = "terminate"
"""Not SIPp's: from the POST that ends a call to its BYE."""

NAMES: Final = {
    RINGING: "INVITE to first 18x (post-dial delay)",
    ANSWER: "INVITE to 200",
    REFER: "REFER to the last NOTIFY",
    TERMINATE: "REST terminate to BYE",
}

_TOKEN: Final = re.compile(
    r"<!--.*?-->|<!\[CDATA\[(?P<data>.*?)\]\]>|<(?P<tag>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>",
    re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(r"([\w-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_BYE: Final = re.compile(
    r"(?P<begin><recv\s[^<>]*request=[\"']BYE[\"'][^<>]*?)(?:(?P<alone>/>)|>(?P<action>\s*<action>)?)"
)
_NO_NAME: Final = re.compile(r"\s+rtd\s*=\s*[\"']true[\"']")
_NOT_ANSWERED: Final = {"ACK", "INVITE"}


def with_timers(text: str) -> str:
    """The scenario `text` with timers put in."""
    text = _NO_NAME.sub("", text)
    edits = sorted(_edits(list(_steps(text))), reverse=True)
    for place, addition in edits:
        text = text[:place] + addition + text[place:]
    return text


def with_numbers(text: str) -> str:
    """The scenario `text`, calling the numbers of an injection file's first column."""
    return text.replace("[service]", "[field0]")


def with_byes(text: str) -> str:
    """The scenario `text`, with a line of the log (``-trace_logs``) for each BYE that it gets."""
    return _BYE.sub(_logged, text)


def _logged(tag: re.Match[str]) -> str:
    log = '<log message="BYE [call_id] [timestamp]"/>'
    if tag["alone"]:
        return f"{tag['begin']}><action>{log}</action></recv>"
    if tag["action"]:
        return f"{tag[0]}{log}"
    return f"{tag[0]}<action>{log}</action>"


class _Step:
    """A `send` or `recv`: where its tag begins, where attributes can be added, and what it is."""

    def __init__(self, begin: int, kind: str, tag: str) -> None:
        self.begin = begin
        self.place = begin + 1 + len(kind)
        self.kind = kind
        self.attributes = {name: a or b for name, a, b in _ATTRIBUTE.findall(tag)}
        self.method = ""

    def timed(self, attribute: str, timer: str) -> Iterator[tuple[int, str]]:
        if attribute not in self.attributes:
            yield self.place, f' {attribute}="{timer}"'


def _steps(text: str) -> Iterator[_Step]:
    step: _Step | None = None
    for token in _TOKEN.finditer(text):
        tag, data = token["tag"], token["data"]
        if tag is not None:
            kind = re.match(r"\w*", tag)
            name = kind[0] if kind else ""
            if name in ("send", "recv"):
                step = _Step(token.start(), name, tag)
                yield step
        elif data is not None and step is not None and step.kind == "send" and not step.method:
            step.method = data.split(maxsplit=1)[0] if data.strip() else ""


def _edits(steps: list[_Step]) -> Iterator[tuple[int, str]]:
    invite = next((n for n, one in enumerate(steps) if one.method == "INVITE"), None)
    # A scenario that is called first sends INVITE inside of its call only.
    if invite is not None and not any("request" in one.attributes for one in steps[:invite]):
        yield from _answer(steps[invite:])
    refer = next((n for n, one in enumerate(steps) if one.method == "REFER"), None)
    if refer is None:
        return
    last = [one for one in steps[refer:] if one.attributes.get("request") == "NOTIFY"]
    if last:
        yield from steps[refer].timed("start_rtd", REFER)
        yield from last[-1].timed("rtd", REFER)


def _answer(steps: list[_Step]) -> Iterator[tuple[int, str]]:
    invite, waiting = steps[0], 0  # of other requests, whose 200 may come before
    ringing = []
    for step in steps[1:]:
        code = step.attributes.get("response", "")
        if step.method and not step.method.startswith("SIP/") and step.method not in _NOT_ANSWERED:
            waiting += 1
        elif code.startswith("18"):
            ringing.append(step)
        elif code == "200" and waiting:
            waiting -= 1
        elif code == "200":
            yield from invite.timed("start_rtd", ANSWER)
            yield from step.timed("rtd", ANSWER)
            break
    if ringing:
        yield invite.begin, f'<nop start_rtd="{RINGING}"/>\n'
        for step in ringing:
            yield from step.timed("rtd", RINGING)
