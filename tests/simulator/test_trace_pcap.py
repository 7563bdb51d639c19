"""The capture of a call: whatever the transport and the ports, tshark reads it as SIP by itself."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from simulator.trace_pcap import pcap
from simulator.trace_views import TracedMessage

START = 1_780_000_000.25
FIELDS = (
    "frame.time_epoch frame.protocols ip.src ip.dst ipv6.src ipv6.dst udp.srcport udp.dstport "
    "tcp.srcport tcp.dstport tcp.seq_raw tcp.ack_raw sip.Method sip.Status-Code sip.CSeq.seq "
    "ip.checksum.status udp.checksum.status tcp.checksum.status _ws.expert.message"
).split()
GOOD = "1"

V4 = ("10.0.0.1", "10.0.0.7")
V6 = ("2001:db8::1", "2001:db8::7")
WAYS = [  # transport, our port, the peer's port; both as they are in the file
    *[("UDP", hosts, (5060, 5060), (5060, 5060)) for hosts in (V4, V6)],
    ("UDP", V4, (15060, 34567), (15060, 34567)),
    *[("TCP", hosts, (5060, 40001), (5060, 40001)) for hosts in (V4, V6)],
    ("TCP", V4, (40002, 5060), (40002, 5060)),
    ("TCP", V4, (15062, 25060), (15062, 25060)),
    ("TLS", V4, (5061, 40003), (5060, 40003)),
    ("TLS", V6, (40004, 5061), (40004, 5060)),
    ("TLS", V4, (15061, 40005), (15061, 40005)),
]


def sip(number: int, body: bytes = b"", status: int = 0) -> bytes:
    start = f"SIP/2.0 {status} OK" if status else "INFO sip:7001@10.0.0.1 SIP/2.0"
    head = (
        f"{start}\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK{number}\r\nFrom: <sip:1@a>;tag=1\r\n"
        f"To: <sip:2@b>;tag=2\r\nCall-ID: x\r\nCSeq: {number} INFO\r\nMax-Forwards: 70\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def traced(
    time: float,
    data: bytes,
    direction: str = "in",
    transport: str = "UDP",
    local: tuple[str, int] = ("10.0.0.1", 5060),
    peer: tuple[str, int] = ("10.0.0.7", 5060),
) -> TracedMessage:
    return TracedMessage(time, direction, transport, local, peer, data, "x", "caller")


def read(file: Path) -> list[dict[str, str]]:
    """What tshark says of each packet, with checksums looked at and nothing else set."""
    program = shutil.which("tshark")
    if program is None:
        pytest.fail("tshark is not installed: apt-get install tshark", pytrace=False)
    command = [program, "-n", "-r", str(file), "-T", "fields", "-E", "occurrence=f"]
    for layer in ("ip", "udp", "tcp"):
        command += ["-o", f"{layer}.check_checksum:TRUE"]
    for field in FIELDS:
        command += ["-e", field]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in found.splitlines() if line]


def test_tshark_decodes_it_without_being_told_how(tmp_path: Path) -> None:
    messages: list[TracedMessage] = []
    for transport, hosts, ports, _ in WAYS:
        local, peer = zip(hosts, ports, strict=True)
        for number, direction in enumerate(("in", "out", "in", "out")):
            data = sip(number + 1, b"b" * number, 200 * (number % 2))
            time = START + len(messages) / 1000
            messages.append(traced(time, data, direction, transport, local, peer))
    file = tmp_path / "call.pcap"
    file.write_bytes(pcap(messages))
    packets = read(file)
    assert len(packets) == len(messages)
    sums: dict[object, int] = {}
    for place, (packet, message) in enumerate(zip(packets, messages, strict=True)):
        transport, hosts, _, ports = WAYS[place // 4]
        ends = list(zip(hosts, ports, strict=True))
        if message.direction == "in":
            ends.reverse()
        family = "ipv6" if ":" in hosts[0] else "ip"
        layer = "udp" if transport == "UDP" else "tcp"
        assert packet["frame.protocols"] == f"raw:{family}:{layer}:sip"
        assert float(packet["frame.time_epoch"]) == pytest.approx(message.time, abs=1e-6)
        source = (packet[f"{family}.src"], int(packet[f"{layer}.srcport"]))
        target = (packet[f"{family}.dst"], int(packet[f"{layer}.dstport"]))
        assert [source, target] == ends
        number = place % 4
        assert packet["sip.CSeq.seq"] == str(number + 1)
        assert packet["sip.Status-Code"] == ("200" if number % 2 else "")
        assert packet[f"{layer}.checksum.status"] == GOOD
        assert family == "ipv6" or packet["ip.checksum.status"] == GOOD
        assert packet["_ws.expert.message"] == ""
        if layer == "tcp":
            way, back = (source, target), (target, source)
            assert int(packet["tcp.seq_raw"]) == 1 + sums.get(way, 0)
            assert int(packet["tcp.ack_raw"]) == 1 + sums.get(back, 0)
            sums[way] = sums.get(way, 0) + len(message.data)


def test_long_messages(tmp_path: Path) -> None:
    """By UDP one packet, as long as one may be; by TCP as many segments as it takes."""
    file = tmp_path / "long.pcap"
    longest = sip(1, b"u" * (65_507 - len(sip(1, b"u" * 65_000)) + 65_000))
    assert len(longest) == 65_507
    file.write_bytes(
        pcap([traced(START, longest), traced(START, sip(2, b"t" * 130_000), transport="TCP")])
    )
    found = read(file)
    assert [one["sip.CSeq.seq"] for one in found] == ["1", "", "", "2"]
    assert found[0]["udp.checksum.status"] == GOOD


@pytest.mark.parametrize("hosts", [V4, V6])
def test_what_no_datagram_holds_is_cut(hosts: tuple[str, str], tmp_path: Path) -> None:
    """It stands in the trace though it could not be sent."""
    file = tmp_path / "cut.pcap"
    ends = [(host, 5060) for host in hosts]
    long = traced(START, sip(1, b"u" * 70_000), "out", "UDP", *ends)
    data = pcap([long, traced(START, sip(2), "in", "UDP", *ends)])
    kept, whole = struct.unpack("<II", data[32:40])
    head = 28 if hosts == V4 else 48
    assert (kept, whole) == (head + 65_507, head + len(long.data))
    file.write_bytes(data)
    found = read(file)
    assert [one["sip.CSeq.seq"] for one in found] == ["1", "2"]
    assert [one["udp.checksum.status"] for one in found] == [GOOD, GOOD]


def test_what_has_no_packet_and_what_has_no_address() -> None:
    note = TracedMessage(START, "", "", ("", 0), ("", 0), b"", "x", "caller", "dropped")
    empty = pcap([note])
    assert len(empty) == 24
    for local, peer in (("10.0.0.1", "gateway.example"), ("fe80::1%eth0", "10.0.0.7")):
        data = pcap([traced(START, sip(1), local=(local, 5060), peer=(peer, 5060))])
        (length,) = struct.unpack("<I", data[32:36])
        assert len(data) == 24 + 16 + length


def test_a_checksum_of_zero_is_told_otherwise() -> None:
    """RFC 768: all ones, as zero says that there is none."""
    before = pcap([traced(START, b"\0\0")])[-4:-2]
    assert before != b"\0\0"
    assert pcap([traced(START, before)])[-4:-2] == b"\xff\xff"
