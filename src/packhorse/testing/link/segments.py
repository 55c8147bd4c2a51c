"""TCP super-packets as a TUN device with offload hands them over, and how to lose single segments of them.

With ``IFF_VNET_HDR`` the kernel gives up to 64 KiB of TCP payload as one frame: a virtio-net header that names the
segment size, then one IP and one TCP header. So a forwarder in Python keeps up with 1 Gbit/s, while loss is still drawn
for every segment of the real MTU: a frame that loses one is taken apart around the gap. (virtio 1.2, section 5.1.6;
RFC 791, RFC 9293.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VNET = struct.Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
NEEDS_CSUM = 1
GSO_NONE = 0
GSO_TCPV4 = 1
_GSO_ECN = 0x80
_FIN_PSH = 0x09
_CWR = 0x80


def _gso(frame: bytes) -> tuple[int, int] | None:
    """Return (length of all headers, segment size) of a TCP/IPv4 super-packet, None for any other frame."""
    _, kind, _, size, _, _ = VNET.unpack_from(frame)
    if kind & ~_GSO_ECN != GSO_TCPV4 or not size:
        return None
    ip = (frame[VNET.size] & 15) * 4
    tcp = (frame[VNET.size + ip + 12] >> 4) * 4
    return VNET.size + ip + tcp, size


def segment_count(frame: bytes) -> int:
    """How many packets the frame stands for on the wire."""
    found = _gso(frame)
    if found is None:
        return 1
    head, size = found
    return max(1, -(-(len(frame) - head) // size))


def wire_length(frame: bytes) -> int:
    """Bytes on the wire, with the headers of every segment."""
    found = _gso(frame)
    if found is None:
        return len(frame) - VNET.size
    head, _ = found
    return len(frame) - VNET.size + (segment_count(frame) - 1) * (head - VNET.size)


def without(frame: bytes, lost: set[int]) -> list[bytes]:
    """The frames that carry all segments of ``frame`` but those with these numbers."""
    found = _gso(frame)
    if found is None:
        return [] if lost else [frame]
    head, size = found
    return [_part(frame, head, size, first, last) for first, last in _runs(segment_count(frame), lost)]


def _runs(count: int, lost: set[int]) -> Iterator[tuple[int, int]]:
    """Stretches (first, one past the last) of what is not lost."""
    first = 0
    for number in sorted(lost):
        if first < number:
            yield first, number
        first = number + 1
    if first < count:
        yield first, count


def _part(frame: bytes, head: int, size: int, first: int, last: int) -> bytes:
    flags, kind, hdr_len, gso_size, csum_start, csum_offset = VNET.unpack_from(frame)
    payload = frame[head + first * size : head + last * size]
    if len(payload) <= size:
        kind, gso_size = GSO_NONE, 0
    packet = bytearray(frame[VNET.size : head])
    ip = (packet[0] & 15) * 4
    final = head + last * size >= len(frame)
    struct.pack_into("!H", packet, 2, len(packet) + len(payload))
    (identification,) = struct.unpack_from("!H", packet, 4)
    struct.pack_into("!H", packet, 4, (identification + first) & 0xFFFF)
    struct.pack_into("!H", packet, 10, 0)
    struct.pack_into("!H", packet, 10, _checksum(packet[:ip]) ^ 0xFFFF)
    (sequence,) = struct.unpack_from("!I", packet, ip + 4)
    struct.pack_into("!I", packet, ip + 4, (sequence + first * size) & 0xFFFFFFFF)
    if not final:
        packet[ip + 13] &= ~_FIN_PSH & 0xFF
    if first:
        packet[ip + 13] &= ~_CWR & 0xFF
    # The rest of the TCP checksum is left to the device, as the header's NEEDS_CSUM says.
    pseudo = bytes(packet[12:20]) + struct.pack("!BBH", 0, packet[9], len(packet) - ip + len(payload))
    struct.pack_into("!H", packet, ip + 16, _checksum(pseudo))
    return (
        VNET.pack(flags | NEEDS_CSUM, kind, hdr_len, gso_size, csum_start or ip, csum_offset or 16) + packet + payload
    )


def _checksum(data: bytes | bytearray) -> int:
    """The folded one's complement sum (RFC 1071), not inverted."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
