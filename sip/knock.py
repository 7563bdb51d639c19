"""What an INVITE says at the door: the few header fields that it takes to refuse it.

They are found without a look at the others, and their lines go into the answer as they are. What
is not plainly good is left to `sip.message.parse`.
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
    rb"[ \t]*:[ \t]*+([^\r\n]*+)(?=\r\n(?![ \t]))"
)
_LETTERS: Final = frozenset(b"VvFfTtIiCcRr \t")
"""What a line may begin with that matters here, or is folded."""
_PASSED: Final = frozenset(
    b"Cont Cisc Reco Recv Requ Reso Reas Remo Refe Rout Time Iden In-R".split()
)
"""What begins with one of those letters often, and is none of the fields that matter."""
_PLAIN_VIA: Final = re.compile(r"SIP/2\.0/UDP ([^ \t;,]+);branch=(z9hG4bK[^ \t;,]+)")
_USUAL_VIA: Final = re.compile(
    r"SIP/2\.0/[A-Z]+ ([^ \t;,]+)(?:;(?!branch=)[^ \t;,]*)*;branch=(z9hG4bK[^ \t;,]+)(?:;[^,]*)?"
)
_FOLD: Final = re.compile(
    rb"(?:(?<![ \t])[ \t]+)?\r\n[ \t]+"
)  # linear, however long the white space
_VERSION: Final = b" SIP/2.0"


class Knock:
    """An INVITE outside of a dialog that may be refused; see `knock_of`.

    `key` is that of its transaction. `id` is a number of 64 bits that it shares with its copies,
    as long as this process lives, and with no other one that is known of. `replaces`: it has
    such a header field.
    """

    __slots__ = ("_lines", "_place", "_start", "_via", "id", "key", "replaces")

    def __init__(
        self,
        start: bytes,
        via: str,
        place: str,
        lines: tuple[bytes, ...],
        key: str,
        replaces: bool,
    ) -> None:
        self.key = key
        self.replaces = replaces
        self.id = hash(lines)
        self._start = start
        self._via = via  # the first one's value
        self._place = place  # its sent-by, where it has nothing else but a branch
        self._lines = lines  # what a response copies, To last

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return _uri(self._start)

    @property
    def to(self) -> bytes:
        """The value of To."""
        return self._lines[-1].partition(b":")[2].strip(b" \t")

    def answer(
        self, start: bytes, tag: bytes, lines: bytes, address: Address, listener: Listener
    ) -> tuple[Address, bytes]:
        """Where a response goes, and its octets: the line `start`, what every response copies
        (section 8.2.6.2), `tag` in To, and further `lines`, each ended by CRLF."""
        host, port = address
        if listener.reliable or self._place != f"{host}:{port}":
            start, address = self._returned(start, address, listener)
        else:
            start = b"%b\r\n%b" % (start, self._lines[0])
        return address, b"%b\r\n%b;tag=%b\r\n%bContent-Length: 0\r\n\r\n" % (
            start,
            b"\r\n".join(self._lines[1:]),
            tag,
            lines,
        )

    def _returned(
        self, start: bytes, address: Address, listener: Listener
    ) -> tuple[bytes, Address]:
        """The first two lines, and the way, of an answer to a Via that is not plain."""
        via = self._via
        if listener.reliable or not is_own_address(via, address):
            request = Request("INVITE", self.uri, f"\r\nVia: {via}")
            via = stamped_via(request, address)
            address = return_address(request, address, listener)
        return b"%b\r\nVia: %b" % (start, via.encode("utf-8", "surrogateescape")), address


def knock_of(data: bytes) -> Knock | None:
    """What an INVITE says; None for one in a dialog, and one that is not plainly good."""
    head, complete, _ = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    start = lines[0]
    if not complete or start[-8:] != _VERSION or start.count(b" ") != 2:
        return None
    del lines[0]
    via = from_ = to = call_id = cseq = b""
    for line in lines:
        if line[0] not in _LETTERS:
            continue
        name = line[:4]
        if name in _PASSED:
            continue
        if line[-1] <= 0x20:  # empty, perhaps
            return _unusual(start, head)
        if name == b"Via:" and not via:
            via = line
        elif name == b"From" and not from_:
            from_ = line
        elif name == b"To: " and not to:
            to = line
        elif name == b"Call" and line[:10] == b"Call-Info:":
            continue
        elif name == b"Call" and not call_id:
            call_id = line
        elif name == b"CSeq" and not cseq:
            cseq = line
        else:
            return _unusual(start, head)
    copied = (via, call_id, cseq, from_, to)
    text = b"".join(copied)
    if (
        not (via and to)
        or via[4:5] != b" "
        or from_[4:6] != b": "
        or call_id[4:9] != b"-ID: "
        or cseq[4:6] != b": "
        or b"\r" in text
        or b"\n" in text
    ):
        return _unusual(start, head)
    if (to[-1:] != b">" or b'"' in to) and _tag(to[4:]) is not None:
        return None
    value = via[5:].lstrip(b" \t").decode("utf-8", "surrogateescape")
    plain = _PLAIN_VIA.fullmatch(value)
    if plain is None:
        key = _key(start, value, head)
        return Knock(start, value, "", copied, key, False) if key else None
    place = plain[1]
    return Knock(start, value, place, copied, f"{plain[2]} {place} INVITE", False)


def _unusual(start: bytes, head: bytes) -> Knock | None:
    """With several Vias, other spellings, folded lines, or fields that are missing."""
    head = _FOLD.sub(b" ", head)
    vias: list[bytes] = []
    from_ = to = call_id = cseq = b""
    replaces = False
    for name, value in _FIELD.findall(head + b"\r\n"):
        value = value.rstrip(b" \t")
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
    if (to[-1:] != b">" or b'"' in to) and _tag(to) is not None:
        return None
    via = vias[0].decode("utf-8", "surrogateescape")
    key = _key(start, via, head)
    if not key:
        return None
    lines = [b"Via: " + one for one in vias]
    lines += [b"Call-ID: " + call_id, b"CSeq: " + cseq, b"From: " + from_, b"To: " + to]
    return Knock(start, via, "", tuple(lines), key, replaces)


def _uri(start: bytes) -> str:
    return start[7:-8].decode("utf-8", "surrogateescape")


def _tag(to: bytes) -> str | None:
    return tag_of(to.decode("utf-8", "surrogateescape"))


def _key(start: bytes, via: str, head: bytes) -> str:
    """The key of the transaction, as `server_key` makes it; empty where it makes none."""
    usual = _USUAL_VIA.fullmatch(via)
    if usual is not None:
        return f"{usual[2]} {usual[1]} INVITE"
    try:
        top = split_values(via)[0] if "," in via else via
        branch, sent_by = branch_and_sent_by(top)
        if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
            return f"{branch} {sent_by} INVITE"
        text = head.decode("utf-8", "surrogateescape")
        return server_key(Request("INVITE", _uri(start), text))
    except ParseError:
        return ""
