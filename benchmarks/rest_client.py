"""A client of the Call Control API that adds next to nothing to what it measures."""

import base64
import socket
from typing import Final

from benchmarks.subjects import USER
from scenarios.runner import Address

PREFIX: Final = "/cvp/rest"

_PATIENCE: Final = 10.0
_CHUNK: Final = 1 << 20


class RestError(Exception):
    """An answer that is not HTTP as this client knows it, or no answer."""


class RestClient:
    """One kept connection, HTTP/1.1 in clear, with Basic authentication."""

    def __init__(self, server: Address, user: str = USER, prefix: str = PREFIX) -> None:
        self._socket = socket.create_connection(server, timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        token = base64.b64encode(user.encode()).decode()
        self._prefix = prefix
        self._head = f"Host: {server[0]}:{server[1]}\r\nAuthorization: Basic {token}\r\n"

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, method: str, path: str) -> None:
        """Send a request without a body."""
        length = "Content-Length: 0\r\n" if method == "POST" else ""
        text = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._head}{length}\r\n"
        self._socket.sendall(text.encode())

    def receive(self) -> tuple[int, bytes]:
        """Status and body of the answer. Raises RestError."""
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        status, length = read_head(bytes(data[:end]))
        while len(data) < end + 4 + length:
            data += self._more()
        return status, bytes(data[end + 4 :])

    def request(self, method: str, path: str) -> bytes:
        """The body of the answer to a request. Raises RestError unless it is a 200."""
        self.send(method, path)
        status, body = self.receive()
        if status != 200:
            raise RestError(f"{method} {path}: {status} {body[:300]!r}")
        return body

    def _more(self) -> bytes:
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            raise RestError(f"no answer within {_PATIENCE:g} s") from None
        if not data:
            raise RestError("the server closed the connection")
        return data


def read_head(head: bytes) -> tuple[int, int]:
    """Status and Content-Length. Raises RestError when there is none."""
    start, *lines = head.decode("latin-1").split("\r\n")
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(start.split(" ")[1]), int(value)
    raise RestError(f"no Content-Length after {start!r}")
