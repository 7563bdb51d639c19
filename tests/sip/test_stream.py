import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.stream import MAX_HEAD, FramingError, StreamFramer


def message(body: bytes = b"", name: str = "Content-Length") -> bytes:
    head = f"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c\r\n{name}: {len(body)}\r\n\r\n"
    return head.encode() + body


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    st.lists(st.integers(1, 60), max_size=20),
)
def test_any_split_gives_the_same_messages(bodies: list[bytes], cuts: list[int]) -> None:
    """RFC 3261 section 18.3: Content-Length says where a message ends, nothing else does."""
    sent = [message(body) for body in bodies]
    stream = b"\r\n".join(sent)
    framer = StreamFramer()
    received: list[bytes] = []
    for size in cuts:
        received += framer.feed(stream[:size])
        stream = stream[size:]
    received += framer.feed(stream)
    assert received == sent


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "l", "L", "Content-Length "])
def test_spellings_of_content_length(name: str) -> None:
    assert StreamFramer().feed(message(b"12345", name)) == [message(b"12345", name)]


def test_a_ping_is_counted_and_a_pong_is_not() -> None:
    """RFC 5626 section 4.4.1."""
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == []
    assert framer.pings == 1
    assert framer.feed(b"\r\n" + message()) == [message()]
    assert framer.pings == 1


def test_a_ping_in_pieces() -> None:
    framer = StreamFramer()
    for octet in b"\r\n\r\n" + message() + b"\r\n\r\n":
        framer.feed(bytes([octet]))
    assert framer.pings == 2
    assert not framer.partial


def test_line_ends_around_a_message_are_no_ping() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n" + message() + b"\r\n" + message()) == [message(), message()]
    assert framer.pings == 0


def test_a_pong_is_taken_once() -> None:
    """RFC 5626 section 4.4.1: whoever has sent a ping waits for one CRLF."""
    framer = StreamFramer()
    framer.awaits_pong = True
    framer.feed(b"\r\n")
    assert (framer.awaits_pong, framer.pings) == (False, 0)
    framer.awaits_pong = True
    framer.feed(b"\r\n\r\n\r\n")  # with a ping of the peer behind it
    assert (framer.awaits_pong, framer.pings) == (False, 1)


def test_a_part_of_a_message_is_known() -> None:
    framer = StreamFramer()
    assert not framer.partial
    framer.feed(message()[:10])
    assert framer.partial
    framer.feed(message()[10:])
    assert not framer.partial


@pytest.mark.parametrize(
    "head",
    [
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: x\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\n",
    ],
)
def test_a_length_that_cannot_be_known(head: bytes) -> None:
    with pytest.raises(FramingError) as caught:
        StreamFramer().feed(head)
    assert caught.value.status == 400
    assert head.startswith(caught.value.head)


def test_what_came_before_a_fault_is_not_lost() -> None:
    framer = StreamFramer()
    assert framer.feed(message() + b"junk\r\n\r\n") == [message()]
    with pytest.raises(FramingError):
        framer.feed(b"more")


def test_limits() -> None:
    with pytest.raises(FramingError) as caught:
        StreamFramer().feed(b"x" * (MAX_HEAD + 1))
    assert caught.value.status == 513
    with pytest.raises(FramingError):
        StreamFramer().feed(b"x" * (MAX_HEAD + 1) + b"\r\n\r\n")
    with pytest.raises(FramingError) as caught:
        StreamFramer().feed(b"A b SIP/2.0\r\nContent-Length: 99999999\r\n\r\n")
    assert caught.value.status == 513
