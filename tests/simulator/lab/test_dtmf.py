"""Keys in INFO bodies and in RTP (RFC 4733)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.lab.dtmf import (
    DTMF,
    DTMF_RELAY,
    KEYS,
    EventPacket,
    EventReceiver,
    EventSender,
    event_type,
    info_body,
    info_key,
)
from sip.errors import InvalidValue
from sip.sdp import SessionDescription

PT = 101


def packet(
    event: int = 5,
    timestamp: int = 1000,
    duration: int = 400,
    *,
    end: bool = False,
    sequence: int = 1,
    ssrc: int = 7,
    marker: bool = False,
) -> bytes:
    return EventPacket(PT, sequence, timestamp, ssrc, event, duration, end, marker).to_bytes()


def heard(*datagrams: bytes) -> str:
    receiver = EventReceiver()
    return "".join(filter(None, (receiver.receive(data, PT) for data in datagrams)))


def sent(keys: str, duration: float = 0.1, **more: int) -> list[list[bytes]]:
    """The datagrams of each key, one key every 200 ms."""
    sender = EventSender(7, more.get("sequence", 0), more.get("timestamp", 0))
    return [
        [data for _, data in sender.packets(key, duration, PT, 0.2 * n)]
        for n, key in enumerate(keys)
    ]


def flat(keys: list[list[bytes]]) -> list[bytes]:
    return [data for datagrams in keys for data in datagrams]


# INFO.


@pytest.mark.parametrize(
    ("content_type", "body", "key"),
    [
        (DTMF_RELAY, b"Signal=5\r\nDuration=160\r\n", "5"),
        (DTMF_RELAY, b"Signal= #\r\nDuration= 250", "#"),
        (DTMF_RELAY, b"signal = d\nduration=100\n", "D"),
        (DTMF_RELAY, b"Duration=160\r\nSignal=*", "*"),
        (DTMF_RELAY, b"Signal=11\r\n", None),
        (DTMF_RELAY, b"5", None),
        (DTMF_RELAY, b"\xff\xfe", None),
        (DTMF, b"5", "5"),
        (DTMF, b"#\r\n", "#"),
        (DTMF, b"Signal=7\r\nDuration=100\r\n", "7"),
        (DTMF, b"55", None),
        (DTMF, b"", None),
        ("text/plain", b"5", None),
        ("", b"", None),
    ],
)
def test_the_key_in_an_info(content_type: str, body: bytes, key: str | None) -> None:
    assert info_key(content_type, body) == key


@pytest.mark.parametrize("content_type", [DTMF_RELAY, DTMF])
@pytest.mark.parametrize("key", KEYS)
def test_an_info_of_ours_is_understood(content_type: str, key: str) -> None:
    assert info_key(content_type, info_body(content_type, key, 100)) == key


def test_the_duration_in_an_info() -> None:
    assert info_body(DTMF_RELAY, "1", 160) == b"Signal=1\r\nDuration=160\r\n"
    assert info_body(DTMF, "1", 160) == b"1\r\n"  # has none


@pytest.mark.parametrize(("content_type", "key"), [(DTMF_RELAY, "12"), (DTMF, "x"), ("a/b", "1")])
def test_what_is_no_key_is_not_sent(content_type: str, key: str) -> None:
    with pytest.raises(InvalidValue):
        info_body(content_type, key, 100)


# RTP.


def test_the_format_of_section_2_3() -> None:
    data = packet(11, 0x01020304, 800, end=True, sequence=258, marker=True)
    assert data.hex(" ") == "80 e5 01 02 01 02 03 04 00 00 00 07 0b 8a 03 20"
    assert EventPacket.parse(data, PT) == EventPacket(PT, 258, 0x01020304, 7, 11, 800, True, True)


def test_contributing_sources_and_extensions_are_passed_over() -> None:
    plain = packet()
    sources = bytes([0x82]) + plain[1:12] + bytes(8) + plain[12:]
    extended = bytes([0x90]) + plain[1:12] + b"\xbe\xde\x00\x01" + bytes(4) + plain[12:]
    assert heard(sources) == "5"
    assert heard(extended) == "5"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        packet()[:13],
        bytes([0x40]) + packet()[1:],  # version 1
        bytes([0x8F]) + packet()[1:],  # more sources than octets
        bytes([0x90]) + packet()[1:],  # an extension longer than the packet
        packet(16),  # flash
        packet(200),
        bytes([0x80, 0]) + packet()[2:],  # speech
    ],
)
def test_what_is_no_key(data: bytes) -> None:
    assert heard(data) == ""


@given(st.binary(max_size=40), st.integers(0, 127))
def test_any_datagram_is_survived(data: bytes, payload_type: int) -> None:
    key = EventReceiver().receive(bytes([0x80 | (data[:1] or b"0")[0] & 0x1F]) + data, payload_type)
    assert key is None or key in KEYS


def test_every_key() -> None:
    assert heard(*flat(sent(KEYS))) == KEYS


def test_one_event_is_one_key_however_many_packets_it_has() -> None:
    """All packets of an event have one timestamp (section 2.5.1.2)."""
    (datagrams,) = sent("5", 1.0)
    assert len(datagrams) == 22
    assert heard(*datagrams) == "5"


def test_the_last_packet_is_sent_three_times() -> None:
    """Section 2.5.1.4."""
    (datagrams,) = sent("5", 0.15)
    packets = [EventPacket.parse(data, PT) for data in datagrams]
    assert all(packets)
    assert [p.end for p in packets if p] == [False, False, True, True, True]
    assert [p.duration for p in packets if p] == [400, 800, 1200, 1200, 1200]
    assert [p.marker for p in packets if p] == [True, False, False, False, False]
    assert [p.sequence for p in packets if p] == [1, 2, 3, 4, 5]


def test_a_key_is_down_until_its_end() -> None:
    receiver = EventReceiver()
    receiver.receive(packet(), PT)
    assert receiver.held == "5"
    receiver.receive(packet(end=True), PT)
    assert receiver.held is None
    receiver.receive(packet(duration=300), PT)  # one that was overtaken
    assert receiver.held is None


def test_a_key_whose_first_packets_are_lost() -> None:
    (datagrams,) = sent("5")
    assert heard(*datagrams[-1:]) == "5"


def test_keys_whose_last_packets_are_lost() -> None:
    first, second, third = sent("557")
    assert heard(first[0], second[0], third[0]) == "557"


@pytest.mark.parametrize("lost", range(4))
def test_a_lost_packet_changes_nothing(lost: int) -> None:
    datagrams = [d for key in sent("1223") for n, d in enumerate(key) if n != lost]
    assert heard(*datagrams) == "1223"


def test_repeated_and_late_packets_change_nothing() -> None:
    first, second = sent("12")
    assert heard(*first, *first, *second, *first, *second) == "12"


def test_the_same_key_twice() -> None:
    assert heard(*flat(sent("55"))) == "55"


def test_a_timestamp_that_wraps() -> None:
    assert heard(*flat(sent("123", timestamp=0xFFFFFFFF - 1200, sequence=0xFFFE))) == "123"


def test_an_event_longer_than_its_field() -> None:
    """Section 2.5.1.3: it goes on under a new timestamp, without a marker."""
    (datagrams,) = sent("5", 20.0)
    timestamps = {p.timestamp for d in datagrams if (p := EventPacket.parse(d, PT))}
    assert sorted(timestamps) == [0, 0xFFFF, 2 * 0xFFFF]
    assert heard(*datagrams) == "5"


def test_another_key_at_the_end_of_a_long_one() -> None:
    assert heard(packet(5, 0, 0xFFFF), packet(6, 0xFFFF, 400)) == "56"
    assert heard(packet(5, 0, 0xFFFF, end=True), packet(5, 0xFFFF, 400, marker=True)) == "55"


def test_another_source_has_timestamps_of_its_own() -> None:
    assert heard(packet(5, 1000, ssrc=7), packet(6, 10, ssrc=8)) == "56"


def test_keys_in_quick_succession_do_not_share_a_timestamp() -> None:
    sender = EventSender(7, 0, 0)
    datagrams = [d for key in "111" for _, d in sender.packets(key, 0.05, PT, 0.0)]
    assert heard(*datagrams) == "111"


def description(*lines: str) -> SessionDescription:
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    return SessionDescription.parse((head + "".join(f"{line}\r\n" for line in lines)).encode())


@pytest.mark.parametrize(
    ("lines", "payload_type"),
    [
        (("m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000"), 96),
        (("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 Telephone-Event/8000"), 101),
        (("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/16000"), None),
        (("m=audio 0 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000"), None),
        (("m=audio 4000 RTP/AVP 0",), None),
        ((), None),
    ],
)
def test_the_payload_type_of_a_description(lines: tuple[str, ...], payload_type: int) -> None:
    assert event_type(description(*lines)) == payload_type


def test_without_a_description_there_is_no_payload_type() -> None:
    assert event_type(None) is None
