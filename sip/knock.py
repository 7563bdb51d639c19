"""What an INVITE says at the door: the few header fields that it takes to refuse it.

They are found by one search over its octets, and go into the answer as they are. What is not
plainly good is left to `sip.message.parse`.
"""

import re
from typing import Final

from sip.errors import ParseError
from sip.grammar import split_values
from sip.message import MAGIC_COOKIE, Request, tag_of
from sip.transaction.layer import branch_and_sent_by, server_key
from sip.transaction.server import is_own_address, return_address, stamped_via
from sip.transport import Address, Listener

# The first letter is looked at before all else: that halves the time.
_FIELD: Final = re.compile(
    rb"\r\n(?=[VvFfTtIiCcRr])((?i:via|v|from|f|to|t|call-id|i|cseq|replaces))"
    rb"[ \t]*:[ \t]*([^\r\n]*)(?=\r\n(?![ \t]))"
)
_USUAL_VIA: Final = re.compile(
    rb"SIP/2\.0/[A-Z]+ ([^ \t;,]+)(?:;(?!branch=)[^ \t;,]*)*;branch=(z9hG4bK[^ \t;,]+)(?:;[^,]*)?"
)
_FOLD: Final = re.compile(rb"[ \t]*\r\n[ \t]+")
_VERSION: Final = b" SIP/2.0"


class Knock:
    """An INVITE outside of a dialog that may be refused; see `knock_of`.

    `key` is that of its transaction. `replaces`: it has such a header field.
    """

    __slots__ = ("_call_id", "_cseq", "_from", "_line", "_vias", "key", "replaces", "to")

    def __init__(
        self,
        line: bytes,
        vias: list[bytes],
        from_: bytes,
        to: bytes,
        call_id: bytes,
        cseq: bytes,
        key: str,
        replaces: bool,
    ) -> None:
        self.to = to
        self.key = key
        self.replaces = replaces
        self._line = line
        self._vias = vias
        self._from = from_
        self._call_id = call_id
        self._cseq = cseq

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return _uri(self._line)

    @property
    def id(self) -> int:
        """A number of 64 bits that the request shares with its copies, as long as this process
        lives, and with no other one that is known of."""
        return hash((self._vias[0], self._call_id, self._cseq))

    def answer(
        self, start: bytes, tag: bytes, lines: bytes, address: Address, listener: Listener
    ) -> tuple[Address, bytes]:
        """Where a response goes, and its octets: the line `start`, what every response copies
        (section 8.2.6.2), `tag` in To, and further `lines`, each ended by CRLF."""
        vias = self._vias
        via = vias[0]
        text = via.decode("utf-8", "surrogateescape")
        if listener.reliable or not is_own_address(text, address):
            request = Request("INVITE", self.uri, f"\r\nVia: {text}")
            via = stamped_via(request, address).encode("utf-8", "surrogateescape")
            address = return_address(request, address, listener)
        parts = [start, b"\r\nVia: ", via]
        for more in vias[1:]:
            parts.append(b"\r\nVia: ")
            parts.append(more)
        parts += [
            *(b"\r\nFrom: ", self._from, b"\r\nTo: ", self.to, b";tag=", tag),
            *(b"\r\nCall-ID: ", self._call_id, b"\r\nCSeq: ", self._cseq, b"\r\n", lines),
            b"Content-Length: 0\r\n\r\n",
        ]
        return address, b"".join(parts)


def knock_of(data: bytes) -> Knock | None:
    """What an INVITE says; None for one in a dialog, and one that is not plainly good."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    line = data[: data.find(b"\r\n")]
    if not line.endswith(_VERSION) or line.count(b" ") != 2:
        return None
    head = data[: end + 2]
    found: list[tuple[bytes, bytes]] = _FIELD.findall(head)
    if len(found) != 5:
        return _unusual(line, head)
    fields = dict(found)
    via = fields.get(b"Via")
    from_, to = fields.get(b"From"), fields.get(b"To")
    call_id, cseq = fields.get(b"Call-ID"), fields.get(b"CSeq")
    if not (via and from_ and to and call_id and cseq):
        return _unusual(line, head)
    return _knock(line, head, [via], from_, to, call_id, cseq, False)


def _unusual(line: bytes, head: bytes) -> Knock | None:
    """With several Vias, other spellings, folded lines, or fields that are missing."""
    head = _FOLD.sub(b" ", head)
    vias: list[bytes] = []
    from_ = to = call_id = cseq = b""
    replaces = False
    for name, value in _FIELD.findall(head):
        letter = name[:1]
        if letter in b"vV":
            vias.append(value)
        elif letter in b"fF":
            if from_:
                return None
            from_ = value
        elif letter in b"tT":
            if to:
                return None
            to = value
        elif letter in b"rR":
            replaces = True
        elif len(name) == 4:  # CSeq; Call-ID has 7 letters, or 1
            if cseq:
                return None
            cseq = value
        else:
            if call_id:
                return None
            call_id = value
    if not (vias and vias[0] and from_ and to and call_id and cseq):
        return None
    return _knock(line, head, vias, from_, to, call_id, cseq, replaces)


def _knock(
    line: bytes,
    head: bytes,
    vias: list[bytes],
    from_: bytes,
    to: bytes,
    call_id: bytes,
    cseq: bytes,
    replaces: bool,
) -> Knock | None:
    if (to[-1:] != b">" or b'"' in to) and _tag(to) is not None:
        return None
    via = _USUAL_VIA.fullmatch(vias[0])
    if via is not None:
        key = (b"%b %b INVITE" % (via[2], via[1])).decode("utf-8", "surrogateescape")
    else:
        try:
            key = _key(line, vias[0].decode("utf-8", "surrogateescape"), head)
        except ParseError:
            return None
    return Knock(line, vias, from_, to, call_id, cseq, key, replaces)


def _uri(line: bytes) -> str:
    return line[7:-8].decode("utf-8", "surrogateescape")


def _tag(to: bytes) -> str | None:
    return tag_of(to.decode("utf-8", "surrogateescape"))


def _key(line: bytes, via: str, head: bytes) -> str:
    """The key of the transaction, as `server_key` makes it."""
    top = split_values(via)[0] if "," in via else via
    branch, sent_by = branch_and_sent_by(top)
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch} {sent_by} INVITE"
    text = head[:-2].decode("utf-8", "surrogateescape")
    return server_key(Request("INVITE", _uri(line), text))
