"""The vocabulary (DESIGN §2): plain values, no I/O, no network.

Types that forbid mistakes: a server's name is a ``str`` and must become a :class:`SafePath` before it can be joined to
a directory; a :class:`Secret` has no useful ``str``; a digest always says its algorithm.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

__all__ = [
    "DIGEST_LENGTHS",
    "Address",
    "ByteRange",
    "Digest",
    "Identity",
    "Item",
    "Proof",
    "ProofLevel",
    "SafePath",
    "Secret",
]

DIGEST_LENGTHS: Final[Mapping[str, int]] = {"sha256": 64, "md5": 32, "crc32": 8}
"""Hexadecimal digits per algorithm that can be a proof."""


class Secret:
    """A text that must never be shown. ``reveal()`` is the only way to it.

    >>> Secret("hunter2")
    Secret('…')
    >>> f"{Secret('hunter2')}"
    '…'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that sends or stores it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "Secret('…')"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return format("…", spec)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be pickled")


@dataclass(frozen=True, slots=True)
class Digest:
    """A checksum and the algorithm it was made with.

    >>> Digest.parse("md5:D41D8CD98F00B204E9800998ECF8427E").value
    'd41d8cd98f00b204e9800998ecf8427e'
    >>> str(Digest("crc32", "00c0ffee"))
    'crc32:00c0ffee'
    """

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        wanted = DIGEST_LENGTHS.get(self.algorithm)
        if wanted is None:
            raise ValueError(f"unknown digest algorithm {self.algorithm!r}")
        value = self.value.lower()
        if len(value) != wanted or not re.fullmatch(r"[0-9a-f]+", value):
            raise ValueError(f"not a {self.algorithm} digest: {wanted} hexadecimal digits are wanted")
        object.__setattr__(self, "value", value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:hex``. Raises ``ValueError``."""
        algorithm, colon, value = text.partition(":")
        if not colon:
            raise ValueError("a digest is written ALGORITHM:HEX")
        return cls(algorithm.strip().lower(), value.strip())

    @classmethod
    def maybe(cls, algorithm: str, value: object) -> Self | None:
        """A digest from a server's field, or ``None`` where the field holds something else."""
        if not isinstance(value, str):
            return None
        try:
            return cls(algorithm, value.strip())
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


class ProofLevel(enum.StrEnum):
    """What was proven of a file's bytes (DESIGN §1.1), strongest first.

    >>> ProofLevel.MD5.satisfies(ProofLevel.SIZE)
    True
    >>> ProofLevel.SIZE.satisfies(ProofLevel.MD5)
    False
    """

    AEAD = "aead"
    SHA256 = "sha256"
    MD5 = "md5"
    CRC32 = "crc32"
    SIZE = "size"
    NONE = "none"

    @property
    def rank(self) -> int:
        return _RANKS[self.value]

    def satisfies(self, required: ProofLevel) -> bool:
        """Whether this is at least as strong as what was required."""
        return self.rank >= required.rank


_RANKS: Final = {"aead": 5, "sha256": 4, "md5": 3, "crc32": 2, "size": 1, "none": 0}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a placed file was proven by, and what was merely recorded.

    ``stated`` is the digest that the source stated and that matched; ``recorded`` are digests computed only here.
    """

    level: ProofLevel
    stated: Digest | None = None
    recorded: tuple[Digest, ...] = ()

    def digest(self, algorithm: str) -> Digest | None:
        """The digest of this algorithm, stated or recorded, if there is one."""
        for digest in (self.stated, *self.recorded):
            if digest is not None and digest.algorithm == algorithm:
                return digest
        return None


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """Bytes ``start`` (included) to ``stop`` (excluded).

    >>> ByteRange(0, 10).header
    'bytes=0-9'
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"not a byte range: {self.start}..{self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def header(self) -> str:
        """The closed form for a ``Range`` header; open ranges are answered wrongly by some servers."""
        if self.start == self.stop:
            raise ValueError("an empty range cannot be asked for")
        return f"bytes={self.start}-{self.stop - 1}"


IdentityKind = Literal["digest", "id", "etag", "weak"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What says that bytes are the same object as before (DESIGN §2).

    ``digest``: the portal states a digest; ``id``: the portal's id never names other bytes; ``etag``: a strong ETag;
    ``weak``: size and date, or nothing at all.
    """

    kind: IdentityKind
    value: str
    size: int | None = None

    @property
    def strong(self) -> bool:
        """Whether held bytes may be kept on its word alone."""
        return self.kind != "weak"

    @property
    def from_portal(self) -> bool:
        """Whether the portal vouches for it whatever ETag or URL the bytes come with."""
        return self.kind in ("digest", "id")

    @property
    def short(self) -> str:
        """Eight hexadecimal digits for the part file's name."""
        text = f"{self.kind}\0{self.value}\0{'' if self.size is None else self.size}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class SafePath:
    """A relative path that is safe to join to a destination directory.

    Only :func:`packhorse.transfer.paths.plan_paths` makes them from server names; the constructor refuses what is
    not already safe, so that a raw server string cannot slip through.
    """

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("an empty path")
        for part in self.parts:
            if part in ("", ".", "..") or any(ch in part for ch in "/\\\0") or part != part.strip():
                raise ValueError(f"not a safe path component: {part!r}")

    @property
    def name(self) -> str:
        return self.parts[-1]

    def __str__(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class Item:
    """One file at a remote.

    ``path`` is the name the portal gives, with ``/`` between folders: hostile until it became a :class:`SafePath`.
    ``key`` is the portal's own reference (an id, a URL). ``size`` in bytes, ``modified`` in Unix seconds.
    ``labels`` are what a ``--layout`` may use: ``kind`` (data, sample, execution, project), ``id``, ``sample``,
    ``execution``, ``project``. ``digests`` are those that the portal states.
    """

    remote: str
    key: str
    path: str
    size: int | None = None
    digests: tuple[Digest, ...] = ()
    identity: Identity | None = None
    modified: float | None = None
    media_type: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def digest(self, algorithm: str) -> Digest | None:
        """The stated digest of this algorithm, if the portal states one."""
        return next((d for d in self.digests if d.algorithm == algorithm), None)


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is: ``remote:path``, or a URL or local path that somebody pasted.

    ``remote`` is a configured name, or one of the schemes ``https``, ``http``, ``drs``, ``local``.
    """

    remote: str
    path: str

    def __str__(self) -> str:
        if self.remote in ("http", "https", "drs", "local"):
            return self.path
        return f"{self.remote}:{self.path}"
