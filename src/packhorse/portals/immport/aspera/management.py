"""What ``ascp`` says on its management port: lines ``Name: value`` behind ``FASPMGR 2`` (spec immport §5.4). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Message", "Messages"]

_MOST: Final = 64 * 1024
_NUMBERS: Final = ("TransferBytes", "Bytescont", "Written", "FileBytes")


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``type`` is INIT, SESSION, STATS, STOP, ERROR, DONE …"""

    type: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int | None:
        """How many bytes it says are here."""
        counts = [int(text) for name in _NUMBERS if (text := self.fields.get(name, "")).isdigit() and len(text) < 19]
        return max(counts, default=None)

    @property
    def code(self) -> int | None:
        """The code of an error."""
        text = self.fields.get("Code", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else None


class Messages:
    """Cuts the port's bytes into messages. Whoever sends nonsense is not listened to any more (:attr:`nonsense`).

    >>> list(Messages().feed(b"FASPMGR 2\\nType: STATS\\nTransferBytes: 12\\n\\nFASP"))[0].bytes
    12
    """

    def __init__(self) -> None:
        self._held = b""
        self.nonsense = False

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now."""
        if self.nonsense:
            return
        self._held += data.replace(b"\r\n", b"\n")
        while b"\n\n" in self._held:
            block, _, self._held = self._held.partition(b"\n\n")
            message = _read(block)
            if message is None:
                self.nonsense = True
                return
            yield message
        self.nonsense = len(self._held) > _MOST


def _read(block: bytes) -> Message | None:
    first, _, rest = block.lstrip(b"\n").partition(b"\n")
    if not first.startswith(b"FASPMGR"):
        return None
    fields: dict[str, str] = {}
    for line in rest.decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip()] = value.strip()
    return Message(fields.pop("Type", ""), fields)
