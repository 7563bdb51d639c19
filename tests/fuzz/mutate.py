"""Damage to messages, drawn from a seed."""

from collections.abc import Callable, Sequence
from random import Random

_SNIPPETS = [
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b'"', b"<", b">", b",", b";", b"=",
    b":", b"\x00", b" ", b"\t", b"@", b"?", b"&", b"%", b"\\", b"/", b"[", b"]", b"(", b")", b"*",
    b"%00", b"%0d%0a", b";tag=", b";branch=", b";rport", b";lr", b";received=", b"SIP/2.0",
    b"[::1]", b"[2001:db8:::192.0.2.1]", b"-1", b"z9hG4bK", b"sip:", b"sips:", b"tel:", b"\\\"",
    b"Via: ", b"v:", b"l:", b"Content-Length: ", b"multipart/mixed;boundary=", b"--b\r\n",
    b"\xff", b"\xfe", b"\xc3", b"\xc3\xa9", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80",
    b"m=audio 9 RTP/AVP 0\r\n", b"a=sendonly\r\n", b"c=IN IP4 0.0.0.0\r\n",
]  # fmt: skip
_NUMBERS = [
    b"0", b"00", b"-1", b"1", b"70", b"255", b"256", b"65535", b"65536", b"2147483647",
    b"2147483648", b"4294967295", b"4294967296", b"18446744073709551616", b"9" * 30, b"9" * 5000,
    b"1e9", b"0x10", b"1_0", b"\xd9\xa3", b"1.5", b"",
]  # fmt: skip
_LONGEST = 65_000


class Mutator:
    """Makes datagrams of `seeds`, most of them with one to three kinds of damage.

    New branches and higher sequence numbers keep the repeated seeds from being mere
    retransmissions of each other.
    """

    def __init__(self, seeds: Sequence[bytes], random: Random) -> None:
        self.seeds = seeds
        self.random = random
        self._number = 1000
        self._damages: list[Callable[[bytes], bytes]] = [
            self._flip,
            self._insert,
            self._insert,
            self._remove,
            self._cut_off,
            self._splice,
            self._number_for_number,
            self._number_for_number,
            self._double_line,
            self._drop_line,
            self._swap_lines,
            self._fold,
            self._value_of_another,
            self._value_of_another,
            self._repeat,
            self._octets,
            self._case,
        ]

    def next(self) -> bytes:
        """One datagram."""
        random = self.random.random
        data = self._pick()
        if random() < 0.7 and data[:4] != b"SIP/":
            self._number += 1
            data = data.replace(b"z9hG4bK", b"z9hG4bK%d" % self._number)
            data = data.replace(b"CSeq: 900", b"CSeq: %d" % self._number)
            if random() < 0.5:
                data = data.replace(b"Call-ID: call", b"Call-ID: %d" % self._number)
        draw = random()
        for _ in range(0 if draw < 0.1 else 1 if draw < 0.7 else 2 if draw < 0.9 else 3):
            data = self._damages[int(random() * len(self._damages))](data)
        return data[:_LONGEST]

    def _pick(self) -> bytes:
        return self.seeds[int(self.random.random() * len(self.seeds))]

    def _at(self, data: bytes) -> int:
        return int(self.random.random() * (len(data) + 1))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        at = int(self.random.random() * len(data))
        flipped = data[at] ^ (1 << int(self.random.random() * 8))
        return data[:at] + bytes((flipped,)) + data[at + 1 :]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + _SNIPPETS[int(self.random.random() * len(_SNIPPETS))] + data[at:]

    def _remove(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at + 1 + int(self.random.random() * 20) :]

    def _cut_off(self, data: bytes) -> bytes:
        return data[: self._at(data)]

    def _splice(self, data: bytes) -> bytes:
        other = self._pick()
        return data[: self._at(data)] + other[self._at(other) :]

    def _number_for_number(self, data: bytes) -> bytes:
        """Another number in place of the first one after a random place."""
        size = len(data)
        at = self._at(data)
        while at < size and not 48 <= data[at] <= 57:
            at += 1
        end = at
        while end < size and 48 <= data[end] <= 57:
            end += 1
        return data[:at] + _NUMBERS[int(self.random.random() * len(_NUMBERS))] + data[end:]

    def _lines(self, data: bytes) -> list[bytes]:
        return data.split(b"\r\n")

    def _double_line(self, data: bytes) -> bytes:
        lines = self._lines(data)
        at = int(self.random.random() * len(lines))
        lines.insert(self._at(b"." * len(lines)), lines[at])
        return b"\r\n".join(lines)

    def _drop_line(self, data: bytes) -> bytes:
        lines = self._lines(data)
        del lines[int(self.random.random() * len(lines))]
        return b"\r\n".join(lines)

    def _swap_lines(self, data: bytes) -> bytes:
        lines = self._lines(data)
        one, other = (int(self.random.random() * len(lines)) for _ in range(2))
        lines[one], lines[other] = lines[other], lines[one]
        return b"\r\n".join(lines)

    def _fold(self, data: bytes) -> bytes:
        at = data.find(b" ", self._at(data))
        return data[:at] + b"\r\n " + data[at + 1 :] if at >= 0 else data

    def _value_of_another(self, data: bytes) -> bytes:
        """One header field gets the value of another field, often of another message."""
        lines = self._lines(data)
        at = int(self.random.random() * len(lines))
        others = self._lines(self._pick())
        other = others[int(self.random.random() * len(others))]
        name, _, _ = lines[at].partition(b":")
        _, _, value = other.partition(b":")
        lines[at] = name + b":" + value
        return b"\r\n".join(lines)

    def _repeat(self, data: bytes) -> bytes:
        """A piece comes often; now and then until the datagram is full."""
        at = self._at(data)
        piece = data[at : at + 1 + int(self.random.random() * 40)]
        times = 2 + int(self.random.random() * 10)
        if piece and self.random.random() < 0.02:
            times = _LONGEST // len(piece)
        return data[:at] + piece * times + data[at + len(piece) :]

    def _octets(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self.random.randbytes(1 + int(self.random.random() * 6)) + data[at:]

    def _case(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at : at + 30].swapcase() + data[at + 30 :]
