"""A traced call as a picture: SVG with a column for each leg, an arrow for each message.

A click on an arrow shows the whole message below it: the arrow is a link to the text, which only
the target of the address (`:target`) makes visible. So there is no script, and the picture works
as a file in any browser and under a policy that allows its one style sheet (`STYLE_HASH`).
"""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape  # nosec B406 # it writes, and reads nothing

from simulator.ladder import label_of
from simulator.trace_views import TracedMessage, TraceView
from sip.transport import host_port

SERVER: Final = "call server"

# Pixels.
_LEFT: Final = 90  # of the first column: the times stand there
_COLUMN: Final = 230
_HEAD: Final = 64
_ROW: Final = 32
_LINE: Final = 15  # of a whole message
_CHARACTER: Final = 7.3

_LABEL: Final = 30
"""Characters of a label in a column; more end in an ellipsis, and stand in the message."""

_WIDEST: Final = 110
"""Characters of a line of a whole message; more go on in the next line."""

_STYLE: Final = """
svg { --back: #fff; --ink: #1c1e21; --dim: #6b7075; --line: #c9ced4; --panel: #f4f6f8;
  --request: #0b57d0; --early: #5f6368; --good: #0b7a38; --moved: #7a4d00; --bad: #c5221f;
  --note: #8a3ab9; --hover: #e8eefb; background: var(--back);
  font: 13px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --back: #16181c; --ink: #e6e8ea; --dim: #9aa0a6;
  --line: #3c4147; --panel: #22262b; --request: #8ab4f8; --early: #b0b5ba; --good: #6dd58c;
  --moved: #fdd663; --bad: #f28b82; --note: #d7aefb; --hover: #26303f; } }
text { fill: var(--ink); white-space: pre; }
.life { stroke: var(--line); }
.name { font-weight: 600; text-anchor: middle; }
.peer, .time { fill: var(--dim); font-size: 11px; }
.peer { text-anchor: middle; }
.time { text-anchor: end; font-variant-numeric: tabular-nums; }
.label { text-anchor: middle; paint-order: stroke; stroke: var(--back); stroke-width: 5px; }
.note { fill: var(--note); paint-order: stroke; stroke: var(--back); stroke-width: 5px; }
.below { font-size: 11px; text-anchor: middle; }
.hit { fill: transparent; }
a:hover .hit, a:focus-visible .hit { fill: var(--hover); }
a:hover .label, a:hover .note { stroke: var(--hover); }
.shaft { stroke-width: 1.5px; }
.again .shaft { stroke-dasharray: 4 3; }
.request .shaft, .request .tip { stroke: var(--request); fill: var(--request); }
.early .shaft, .early .tip { stroke: var(--early); fill: var(--early); }
.good .shaft, .good .tip { stroke: var(--good); fill: var(--good); }
.moved .shaft, .moved .tip { stroke: var(--moved); fill: var(--moved); }
.bad .shaft, .bad .tip { stroke: var(--bad); fill: var(--bad); }
.full { display: none; }
.full:target { display: inline; }
.panel { fill: var(--panel); stroke: var(--dim); }
.octets { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.about { font-weight: 600; }
.close { fill: var(--request); text-anchor: end; }
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""The SHA-256 of the style sheet, for ``style-src 'sha256-...'`` of a policy."""

_CLASSES: Final = ("", "early", "good", "moved", "bad", "bad", "bad")


def plain(text: str) -> str:
    """`text` as the content of an element or attribute, in one line.

    Control characters are shown by their pictures; what XML cannot have, and what would turn the
    text around, is a replacement character.
    """
    if not text.isprintable():
        text = "".join([one if one.isprintable() else _picture(one) for one in text])
    return escape(text, {'"': "&quot;"})


def _picture(one: str) -> str:
    if one == "\t":
        return " "
    code = ord(one)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


class _Drawing:
    """The parts of a picture: `rows` below one another, `panels` over them."""

    def __init__(self, view: TraceView) -> None:
        self.names: list[tuple[str, str]] = []  # of the columns, each with an address
        self._columns: dict[str, int] = {}  # by Call-ID
        sent = [one for one in view.messages if one.direction]
        for message in sent:
            if message.call_id not in self._columns:
                self._add(message)
        self.start = view.messages[0].time if view.messages else 0.0
        self.width = _LEFT + max(2, len(self.names)) * _COLUMN
        self.height = _HEAD + _ROW
        self.rows: list[str] = []
        self.panels: list[str] = []
        self._seen: set[tuple[str, str, bytes]] = set()
        for number, message in enumerate(view.messages, start=1):
            if message.direction:
                self._message(number, message)
            else:
                self._note(message.time, message.note)
        if view.omitted:
            self._note(0.0, f"{view.omitted} messages are not kept any more")
        elif not view.messages:
            self._note(0.0, "no messages")
        self.bottom = self._y + _ROW

    def _add(self, message: TracedMessage) -> None:
        shown = message.leg or "far end"
        same = sum(name.partition(" #")[0] == shown for name, _ in self.names)
        name = f"{shown} #{same + 1}" if same else shown
        self._columns[message.call_id] = len(self.names)
        self.names.append((name, host_port(*message.peer)))
        if len(self.names) == 1:
            self.names.append((SERVER, host_port(*message.local)))

    @property
    def _y(self) -> int:
        """Where the next row has its line."""
        return _HEAD + _ROW * (len(self.rows) + 1)

    def _time(self, time: float, y: int) -> str:
        if not time:
            return ""
        return f'<text class="time" x="{_LEFT - 12}" y="{y + 4}">{time - self.start:.3f}</text>'

    def _note(self, time: float, text: str) -> None:
        y = self._y
        shown = f'<text class="note" x="{_LEFT + 12}" y="{y + 4}">\u2691 {plain(text)}</text>'
        self.rows.append(f"<g>{self._time(time, y)}{shown}</g>")
        self.height = max(self.height, y + _ROW)

    def _message(self, number: int, message: TracedMessage) -> None:
        y = self._y
        label = label_of(message.data) or "malformed"
        key = message.call_id, message.direction, message.data
        again = key in self._seen
        self._seen.add(key)
        kind = "request"
        if message.data.startswith(b"SIP/2.0 "):
            first = message.data[8:9]
            kind = _CLASSES[int(first)] if first in (b"1", b"2", b"3", b"4", b"5", b"6") else "bad"
        here, there = x_of(1), x_of(self._columns[message.call_id])
        start, end = (here, there) if message.direction == "out" else (there, here)
        back = -8 if end > start else 8
        room = _LABEL * abs(here - there) // _COLUMN
        text = plain(label if len(label) <= room else f"{label[: room - 1]}\u2026")
        if again:
            text += " \u21bb"
        about = f"{plain(label)}{' (again)' if again else ''}"
        middle = (start + end) // 2
        note = ""
        if message.note:
            about += f" \u2691 {plain(message.note)}"
            shown = (
                message.note if len(message.note) <= room else f"{message.note[: room - 1]}\u2026"
            )
            note = (
                f'<text class="note below" x="{middle}" y="{y + 12}">\u2691 {plain(shown)}</text>'
            )
        self.rows.append(
            f'<a id="r{number}" href="#m{number}" class="{kind}{" again" * again}">'
            f"<title>{about}</title>"
            f'<rect class="hit" x="0" y="{y - 17}" width="{self.width}" height="{_ROW}"/>'
            f"{self._time(message.time, y)}"
            f'<text class="label" x="{middle}" y="{y - 5}">{text}</text>{note}'
            f'<line class="shaft" x1="{start}" y1="{y}" x2="{end + back}" y2="{y}"/>'
            f'<path class="tip" d="M{end},{y}l{back},-4v8z"/></a>'
        )
        self._panel(number, message, about, y + 8)

    def _panel(self, number: int, message: TracedMessage, about: str, y: int) -> None:
        at = datetime.fromtimestamp(message.time, UTC).isoformat(timespec="milliseconds")[11:23]
        ends = [host_port(*message.local), host_port(*message.peer)]
        if message.direction == "in":
            ends.reverse()
        way = f"{at} UTC   {message.transport}   {ends[0]} \u2192 {ends[1]}"
        lines = list(_lines(message.data))
        longest = max([_WIDEST // 2, len(about) + 12, len(way) + 2, *map(len, lines)])
        width = round(longest * _CHARACTER) + 24
        height = (len(lines) + 3) * _LINE + 16
        top = y + _LINE + 6
        texts = [
            f'<text class="about" x="{_LEFT + 12}" y="{top}">{about}</text>',
            f'<text class="octets" x="{_LEFT + 12}" y="{top + _LINE}">{plain(way)}</text>',
        ]
        for place, line in enumerate(lines, start=3):
            if line:
                below = top + place * _LINE
                shown = plain(line)
                texts.append(
                    f'<text class="octets" x="{_LEFT + 12}" y="{below}" xml:space="preserve">'
                    f"{shown}</text>"
                )
        self.panels.append(
            f'<g id="m{number}" class="full">'
            f'<rect class="panel" x="{_LEFT}" y="{y}" width="{width}" height="{height}" rx="6"/>'
            f'<a href="#r{number}"><text class="close" x="{_LEFT + width - 12}" y="{top}">'
            f"close \u2715</text></a>{''.join(texts)}</g>"
        )
        self.width = max(self.width, _LEFT + width + 12)
        self.height = max(self.height, y + height + 12)


def x_of(column: int) -> int:
    """The middle of a column."""
    return _LEFT + _COLUMN // 2 + column * _COLUMN


def _lines(data: bytes) -> Iterator[str]:
    """The lines of a message, the long ones broken."""
    for line in data.decode("utf-8", "replace").rstrip("\r\n").split("\n"):
        line = line.removesuffix("\r")
        yield line[:_WIDEST]
        for start in range(_WIDEST, len(line), _WIDEST - 4):
            yield f"    {line[start : start + _WIDEST - 4]}"


def svg_ladder(view: TraceView) -> str:
    """All that is kept of a call, as an SVG document."""
    drawing = _Drawing(view)
    began = datetime.fromtimestamp(drawing.start, UTC).isoformat(" ", "seconds")[:19]
    title = f"Call {view.guid}" if view.guid else "A call that was refused"
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'width="{drawing.width}" height="{drawing.height}" '
        f'viewBox="0 0 {drawing.width} {drawing.height}">\n'
        f"<title>{plain(title)}, {began} UTC</title>\n<style>{_STYLE}</style>"
    ]
    for column, (name, address) in enumerate(drawing.names):
        x = x_of(column)
        parts.append(
            f'<text class="name" x="{x}" y="24">{plain(name)}</text>'
            f'<text class="peer" x="{x}" y="42">{plain(address)}</text>'
            f'<line class="life" x1="{x}" y1="50" x2="{x}" y2="{drawing.bottom - _ROW // 2}"/>'
        )
    parts += drawing.rows
    parts += drawing.panels
    return "\n".join(parts) + "\n</svg>\n"
