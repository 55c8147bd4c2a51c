"""An upload that was looked at and not begun, and one that the same call finished a short while ago."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packhorse.model import Secret
from packhorse.session.vias import Via
from packhorse.transfer.events import EventHandler, Started
from packhorse.transfer.outgoing import LocalFile, Receiver, SendOutcome, SentFile

if TYPE_CHECKING:
    from packhorse.transfer.send import PendingUpload, Sent

__all__ = ["Prepared", "Wanted", "as_before"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where to, and what else a caller wants of an upload. ``again``: even where the same call just did it."""

    via: str | None
    voucher: Secret | str | None
    wishes: Mapping[str, Any]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """An upload that was looked at and not begun: nothing was created at the site.

    ``empty_folders`` and ``loops`` are names of what is left out. ``before`` is what an interrupted call left of the
    same upload; ``key`` names its journal. ``sent``: the same call finished it a short while ago, and the portal has it
    still. ``wishes`` are the portal's own. ``size`` in bytes.
    """

    via: Via
    files: tuple[LocalFile, ...]
    empty_folders: tuple[str, ...]
    loops: tuple[str, ...]
    key: str
    before: PendingUpload | None
    receiver: Receiver
    wishes: Any
    sent: Sent | None = None

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def as_before(prepared: Prepared, sent: Sent, emit: EventHandler) -> SendOutcome:
    """The outcome of the earlier call, told as one that kept everything."""
    from packhorse.transfer.send.events import summary

    outcome = SendOutcome(
        prepared.receiver.remote,
        prepared.key,
        list(prepared.files),
        [SentFile(file, sent.ids.get(file.name, ""), file.size) for file in prepared.files],
        result=sent.result,
        id=sent.id,
        resumed=True,
        before=sent.time,
    )
    emit(
        Started(
            files=len(outcome.files),
            size=outcome.size,
            held=outcome.size,
            address=outcome.remote,
            direction="up",
            id=outcome.id,
        )
    )
    emit(summary(outcome, 0))
    return outcome
