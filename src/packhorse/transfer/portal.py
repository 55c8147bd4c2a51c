"""The portal protocol: all that the engine asks of a remote (DESIGN §3).

Portals only list, describe, locate, authorise and speak their protocol. Nothing about moving, retrying, resuming,
verifying or naming is written in a portal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from packhorse.model import ByteRange, Identity, Item
from packhorse.net.message import HeaderValue, Request, ResponseHead
from packhorse.wire.http import ContentRange

__all__ = ["Bring", "Codec", "Entry", "Gathers", "Locator", "Portal"]


class Codec(Protocol):
    """A pure transformation from wire bytes to file bytes (encryption, inflate), for one item.

    With a ``chunk``, ``wanted`` is always one whole chunk (the last may be shorter), and each is asked for and decoded
    by itself. Without one the wire object decodes only from its start to its end, in one request; ``wanted`` is the
    whole item then, and ``wire_range``, ``wire_size`` and ``accepts`` are not asked.
    """

    @property
    def chunk(self) -> int | None:
        """File bytes per chunk; chunk i begins at i * chunk."""

    @property
    def authenticates(self) -> bool:
        """Whether bytes that decode are proven to be the sender's (AEAD): the proof is ``aead`` then."""

    def wire_range(self, wanted: ByteRange) -> ByteRange:
        """What the ``Range`` header asks for this chunk (before a slice's start is added)."""

    def wire_size(self, wanted: ByteRange) -> int:
        """How many bytes the body of the answer must have."""

    def accepts(self, got: ContentRange, wanted: ByteRange) -> bool:
        """Whether a 206 with this ``Content-Range`` is the answer for this chunk."""

    def decoder(self, wanted: ByteRange) -> Callable[[bytes, bool], bytes]:
        """A function ``(wire bytes, is_last) -> file bytes``, made anew for every answer, called in its order.

        ``is_last`` comes once, when every wire byte of the chunk (or of the object) has come. It may keep all until
        then. Called in a lane's thread. It raises a :class:`~packhorse.errors.PackhorseError` (mostly
        :class:`~packhorse.errors.IntegrityError`) for bytes that do not decode: the chunk is fetched once more, then
        the file fails with that error; chunks that decoded before are kept for the next time if it ``authenticates``.
        """


class Bring(Protocol):
    """How a portal brings a whole file by a tool of its own (``ascp``)."""

    async def __call__(self, folder: Path, tell: Callable[[int], None], limit: int | None) -> Path:
        """Write the file into ``folder``, which exists and is the engine's, under any name, and return its path.

        What an earlier call left in the folder is there and may be used. ``tell`` takes the count of bytes that are
        there, from any thread; ``limit`` in bytes per second. When it returns or raises (cancellation too), nothing
        writes there any more. Raises our errors; those that are ``retryable`` are tried again.
        """


@dataclass(frozen=True, slots=True)
class Locator:
    """A request for an item's bytes.

    ``expires`` in Unix seconds: it is renewed before then. ``size`` is the item's size in file bytes (with a codec that
    has chunks it, or the item's own, must be known). ``slice`` is the part of the remote object that the item is (a ZIP
    entry), in wire bytes; ``None`` means all of it. An item with a codec should have an ``id`` or ``digest`` identity:
    what the answers' heads say is of the wire object, and is not compared. ``secret_url`` marks a
    signed URL, to which no credential is sent and whose query is never shown. ``check`` may refuse an answer's head
    by raising a :class:`~packhorse.errors.PackhorseError`. ``ranges`` is false where the server is known to serve
    whole objects only. ``refused`` is told of a refusal (head, beginning of the body) and says whether another locator
    is worth asking for; without it that is guessed from the status. ``bring``: no request at all, the portal brings the
    whole file by a tool of its own (:mod:`packhorse.transfer.brought`); ``url`` only names it then.
    """

    url: str
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    expires: float | None = None
    size: int | None = None
    identity: Identity | None = None
    slice: ByteRange | None = None
    codec: Codec | None = None
    secret_url: bool = False
    authorised: bool = True
    ranges: bool = True
    check: Callable[[ResponseHead], None] | None = None
    local_path: str | None = None
    refused: Callable[[ResponseHead, bytes], bool] | None = None
    bring: Bring | None = None

    @property
    def plain(self) -> bool:
        """Whether the wire object's bytes are the item's bytes, all of them: what its answers say of size and digest
        they say of the item."""
        return self.slice is None and self.codec is None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of ``ls``: a folder-like thing (``address`` can be listed further) or a file (``item`` is set)."""

    address: str
    name: str
    kind: str
    size: int | None = None
    modified: float | None = None
    item: Item | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Portal(Protocol):
    """One remote, as the engine and the session see it."""

    remote: str

    def items(self, path: str) -> AsyncIterator[Item]:
        """Every file at or below ``path``, as it becomes known. Raises NotFoundError, PermissionDeniedError …"""

    def entries(self, path: str) -> AsyncIterator[Entry]:
        """What ``ls`` shows at ``path``: one level."""

    async def describe(self, path: str) -> Mapping[str, Any]:
        """The portal's own record of what is at ``path``, for ``info``."""

    async def locate(self, item: Item) -> Locator:
        """A request for the item's bytes, fresh: called again when the last one expired or was refused."""

    async def authorise(self, request: Request) -> Request:
        """The finished request, signed. Called before every attempt whose locator is ``authorised``."""

    async def renew(self, refused: Request) -> bool:
        """Renew the credential that ``refused`` carried (401). True when another try makes sense.

        Single-flight: callers that come with a credential older than the current one get True at once.
        """

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        """The error for a refused request, with the portal's words and remedy."""

    async def aclose(self) -> None:
        """Give back what it holds."""


@runtime_checkable
class Gathers(Protocol):
    """A portal that can serve many items out of one object, which it makes ready first (a ZIP)."""

    gathers_above: int
    """Above how many items it advises that by itself."""

    async def gather(self, items: Sequence[Item], *, wished: bool) -> list[Item]:
        """Make ready what can be; ``locate`` then leads there. The same items, in order, with what is stated of them.

        ``wished``: a person asked for it. What cannot be gathered is fetched one by one.
        """
