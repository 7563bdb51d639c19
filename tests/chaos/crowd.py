"""Callers that do what they are told and nothing else: no timer, no retransmission."""

import re
import select
import socket
import time
from itertools import count
from typing import Final, Self

from tests.support.network import summary

Address = tuple[str, int]

_PATIENCE: Final = 20.0
_BIGGEST: Final = 65_535
_calls = count(1)


class Crowd:
    """`size` callers on one UDP socket, each in one call to `number` of the server at `address`.

    `heard` is what each was told, by Call-ID. As a context manager it gives the socket back.
    """

    def __init__(self, address: Address, size: int, number: str = "5000") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._address = address
        self._number = number
        self._port = self._socket.getsockname()[1]
        self.call_ids = [f"crowd-{next(_calls)}@127.0.0.1" for _ in range(size)]
        self._tags: dict[str, str] = {}  # those of the server, by call
        self.heard: dict[str, list[str]] = {call_id: [] for call_id in self.call_ids}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, method: str) -> None:
        """Each caller sends INVITE, its ACK, or BYE."""
        for call_id in self.call_ids:
            self._socket.sendto(self._request(method, call_id), self._address)

    def _request(self, method: str, call_id: str) -> bytes:
        number = 2 if method == "BYE" else 1
        tag = self._tags.get(call_id, "")
        uri = f"sip:{self._number}@{self._address[0]}:{self._address[1]}"
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch=z9hG4bK{method}{call_id[:-10]}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:1000@127.0.0.1>;tag=crowd\r\n"
            f"To: <{uri}>{f';tag={tag}' if tag else ''}\r\nCall-ID: {call_id}\r\n"
            f"CSeq: {number} {method}\r\nContact: <sip:1000@127.0.0.1:{self._port}>\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()

    def hears(self, what: str) -> None:
        """Wait until each caller has heard this (``200 INVITE``)."""
        deadline = time.monotonic() + _PATIENCE
        while missing := [one for one, said in self.heard.items() if what not in said]:
            ready, _, _ = select.select([self._socket], [], [], deadline - time.monotonic())
            assert ready, f"{len(missing)} of {len(self.call_ids)} calls never heard {what}"
            self._listen()

    def _listen(self) -> None:
        data = self._socket.recv(_BIGGEST)
        text = data.decode()
        call_id = _value(text, "Call-ID")
        self.heard[call_id].append(summary(data))
        tag = re.search(r";tag=(\w+)", _value(text, "To"))
        if tag is not None and text.startswith("SIP/2.0 200"):
            self._tags[call_id] = tag[1]

    def said_to(self, what: str) -> int:
        """How many callers were told this by now."""
        while select.select([self._socket], [], [], 0)[0]:
            self._listen()
        return sum(what in said for said in self.heard.values())


def _value(text: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*)\r$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]
