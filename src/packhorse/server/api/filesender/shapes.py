"""How one file is answered: headers and bytes, decided without reading any (spec filesender §6, §10.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from packhorse.model import ByteRange, Digest
from packhorse.server.db.filesender import TransferFile
from packhorse.server.sending import Plan
from packhorse.wire import http
from packhorse.wire.disposition import content_disposition
from packhorse.wire.filesender.crypto import OVERHEAD, ChunkLayout, KeyVersion

__all__ = ["Shape", "plan", "shape_of"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file's answer depends on. ``layout`` is that of an encrypted file."""

    etag: str
    name: str
    mime: str
    modified: int
    stored_size: int
    sha256: str
    layout: ChunkLayout | None


def shape_of(file: TransferFile, sha256: str) -> Shape:
    """What is known of a complete file."""
    transfer = file.transfer
    layout = None
    if transfer.encrypted:
        layout = ChunkLayout(KeyVersion.of(transfer.key_version), transfer.chunk_size, file.size)
    etag = f"t{transfer.id}_f{file.id}_s{file.size}_ranges_"
    return Shape(etag, file.name, file.mime, transfer.created, file.stored_size, sha256, layout)


def plan(shape: Shape, asked: Mapping[str, str]) -> Plan:
    """The answer to a GET for one file; ``asked`` has lower-case names. Pure."""
    etag = http.ETag(shape.etag)
    always = (
        ("etag", str(etag)),
        ("last-modified", http.http_date(shape.modified)),
        ("accept-ranges", "bytes"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
    )
    described = (
        *always,
        ("content-type", shape.mime),
        ("content-disposition", _disposition(shape.name)),
    )
    found: ByteRange | http.Unsatisfied | None = None
    if http.if_range_holds(asked.get("if-range"), etag, shape.modified):
        found = _asked_range(shape, asked.get("range"))
    size = shape.layout.size if shape.layout else shape.stored_size
    if isinstance(found, http.Unsatisfied):
        return Plan(416, (*always, ("content-range", http.unsatisfied_content_range(size))), None)
    proof = ("repr-digest", http.repr_digest((Digest("sha256", shape.sha256),)) or "")
    if found is None:
        length = ("content-length", str(shape.stored_size))
        return Plan(200, (*described, proof, length), ByteRange(0, shape.stored_size))
    if shape.layout is None:
        placed = ("content-range", http.build_content_range(found, size))
        return Plan(206, (*described, proof, placed, ("content-length", str(len(found)))), found)
    stored = shape.layout.stored_range(found)
    # plain start, plain size, and as many bytes as are sent: what clients of encrypted files expect
    placed = ("content-range", http.build_content_range(ByteRange(found.start, found.start + len(stored)), size))
    return Plan(206, (*described, placed, ("content-length", str(len(stored)))), stored)


def _asked_range(shape: Shape, header: str | None) -> ByteRange | http.Unsatisfied | None:
    """The range to answer. Of an encrypted file only closed ones mean something; others get the whole."""
    if shape.layout is None:
        return http.parse_range(header, shape.stored_size)
    text = (header or "").strip()
    if not text or text.endswith("-") or text.partition("=")[2].strip().startswith("-"):
        return None
    found = http.parse_range(header, shape.layout.size + OVERHEAD)
    if isinstance(found, ByteRange) and found.start >= shape.layout.size:
        return http.Unsatisfied(shape.layout.size)
    return found


def _disposition(name: str) -> str:
    """Both forms always, as FileSender sends them; the base name only."""
    base = name.rpartition("/")[2]
    header = content_disposition(base)
    if "filename*=" in header:
        return header
    return f"{header}; filename*=UTF-8''{quote(base, safe='')}"
