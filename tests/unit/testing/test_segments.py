"""Taking super-packets apart, and the line's arithmetic; no network."""

from __future__ import annotations

import math
import random
import struct

from hypothesis import given
from hypothesis import strategies as st

from packhorse.testing.link.forwarder import Direction
from packhorse.testing.link.segments import VNET, segment_count, wire_length, without

IP_HEAD, TCP_HEAD = 20, 32


def frame(payload: bytes, size: int, sequence: int = 4_294_960_000, flags: int = 0x19) -> bytes:
    ip = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        IP_HEAD + TCP_HEAD + len(payload),
        65530,
        0x4000,
        64,
        6,
        0,
        b"\x0a\x4d\0\1",
        b"\x0a\x4d\0\2",
    )
    tcp = struct.pack("!HHIIBBHHH", 80, 4000, sequence, 7, 0x80, flags, 500, 0, 0) + b"\1" * 12
    return VNET.pack(1, 1, IP_HEAD + TCP_HEAD, size, IP_HEAD, 16) + ip + tcp + payload


def ones(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.integers(1, 9000), st.integers(1, 1500), st.data())
def test_all_but_the_lost_segments_get_through(length: int, size: int, data: st.DataObject) -> None:
    payload = random.Random(length).randbytes(length)
    whole = frame(payload, size)
    count = segment_count(whole)
    assert count == math.ceil(length / size)
    assert wire_length(whole) == length + count * (IP_HEAD + TCP_HEAD)
    lost = data.draw(st.sets(st.integers(0, count - 1), max_size=5))
    wanted = {number: payload[number * size : (number + 1) * size] for number in range(count) if number not in lost}
    seen: dict[int, bytes] = {}
    for part in without(whole, lost):
        _, kind, _, gso, start, offset = VNET.unpack_from(part)
        packet = part[VNET.size :]
        assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
        assert ones(packet[:IP_HEAD]) == 0xFFFF
        pseudo = packet[12:20] + struct.pack("!HH", 6, len(packet) - IP_HEAD)
        assert struct.unpack_from("!H", packet, IP_HEAD + 16)[0] == ones(pseudo)
        assert (start, offset) == (IP_HEAD, 16)
        body = packet[IP_HEAD + TCP_HEAD :]
        assert (kind, gso) == ((1, size) if len(body) > size else (0, 0))
        sequence = struct.unpack_from("!I", packet, IP_HEAD + 4)[0]
        first = ((sequence - 4_294_960_000) & 0xFFFFFFFF) // size
        for number in range(first, first + math.ceil(len(body) / size)):
            seen[number] = body[(number - first) * size : (number - first + 1) * size]
        last = first + math.ceil(len(body) / size) == count
        assert packet[IP_HEAD + 13] == (0x19 if last else 0x10)
    assert seen == wanted


def test_other_frames_are_lost_whole() -> None:
    small = VNET.pack(0, 0, 0, 0, 0, 0) + b"\x60" + bytes(60)
    assert segment_count(small) == 1
    assert without(small, {0}) == []
    assert without(small, set()) == [small]


def direction(**more: float) -> Direction:
    settings = {"delay": 0.0, "rate": 0.0, "queue": math.inf, "loss": 0.0, **more}
    return Direction(**settings, draw=random.Random(4))  # type: ignore[arg-type]


def test_delay_and_rate() -> None:
    line = direction(delay=0.01, rate=1_000_000)
    for _ in range(2):
        line.take(frame(b"x" * 948, 1000), now=5.0)  # 1000 bytes: 1 ms
    assert abs(line.next_due() - 5.011) < 1e-9
    assert line.due(5.0109) is None
    assert line.due(5.0111)
    assert abs(line.next_due() - 5.012) < 1e-9


def test_a_full_queue_drops() -> None:
    line = direction(rate=1_000_000, queue=3500)
    for _ in range(5):
        line.take(frame(b"x" * 948, 1000), now=5.0)
    assert (line.segments, line.overflowed, line.lost) == (3, 2, 0)


def test_loss_is_drawn_for_every_segment() -> None:
    line = direction(loss=0.01)
    for _ in range(2000):
        line.take(frame(bytes(5000), 100), now=0.0)
    assert line.segments + line.lost == 100_000
    assert 850 < line.lost < 1150
    everything = direction(loss=1.0)
    everything.take(frame(bytes(5000), 100), now=0.0)
    assert (everything.lost, everything.segments) == (50, 0)
