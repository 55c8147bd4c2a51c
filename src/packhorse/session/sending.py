"""Sending: what is to be sent is looked at, then it goes through the engine; uploads that were interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from packhorse.errors import ExpiredError, NotFoundError, UsageError
from packhorse.model import Secret
from packhorse.net.transport import Network
from packhorse.session.prepared import Prepared, Wanted, as_before
from packhorse.session.vias import Via, choose
from packhorse.settings import Settings, near
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event, EventHandler
from packhorse.transfer.outgoing import LocalFile, Receiver, SendOptions, SendOutcome

if TYPE_CHECKING:
    from packhorse.transfer.portal import Portal
    from packhorse.transfer.send import PendingUpload, Sent

__all__ = ["Face", "Paths", "Prepared", "Sends"]

T = TypeVar("T")
Paths = Iterable[str | PathLike[str]] | str | PathLike[str]


class Sends:
    """The sending half of a :class:`~packhorse.session.Session`."""

    settings: Settings

    if TYPE_CHECKING:

        def portal(self, remote: str) -> Portal: ...
        def network(self) -> Network: ...
        def _run(self, work: Coroutine[Any, Any, T]) -> T: ...

    def send(
        self,
        paths: Paths,
        to: Iterable[str] | str = (),
        *,
        via: str | None = None,
        voucher: Secret | str | None = None,
        again: bool = False,
        options: SendOptions | None = None,
        on_event: EventHandler | None = None,
        **wishes: Any,
    ) -> SendOutcome:
        """Send files and folders to people, or (``to`` empty) for a link; the same call goes on after an interruption.

        ``via`` names the FileSender remote, where more than one is configured; ``voucher`` (its link) sends as a guest.
        ``wishes``: ``subject``, ``message``, ``expires`` (Unix seconds), ``link``, ``password`` (encrypts end to end),
        ``options`` of the transfer as ``transfer_options``, ``sender``, ``language``. What stopped it is in the
        outcome's ``error``; ``result`` has the links. What the same call finished in the last three days is not sent
        again (``before`` in the outcome says when), unless with ``again``. Raises what is wrong before the first byte.
        """
        return self._run(self._send(paths, to, Wanted(via, voucher, wishes, again), options, on_event))

    async def asend(
        self,
        paths: Paths,
        to: Iterable[str] | str = (),
        *,
        via: str | None = None,
        voucher: Secret | str | None = None,
        again: bool = False,
        options: SendOptions | None = None,
        on_event: EventHandler | None = None,
        **wishes: Any,
    ) -> SendOutcome:
        """:meth:`send` for async callers. Cancelling it stops the upload, which can be resumed."""
        work = self._send(paths, to, Wanted(via, voucher, wishes, again), options, on_event)
        return await Engine.shared().bridge(work)

    async def _send(
        self,
        paths: Paths,
        to: Iterable[str] | str,
        wanted: Wanted,
        options: SendOptions | None,
        on_event: EventHandler | None,
    ) -> SendOutcome:
        return await self._send_prepared(await self._prepare(paths, to, wanted), options, on_event)

    def prepare(
        self,
        paths: Paths,
        to: Iterable[str] | str = (),
        *,
        via: str | None = None,
        voucher: Secret | str | None = None,
        again: bool = False,
        **wishes: Any,
    ) -> Prepared:
        """Look at the files and at the site's limits, without creating anything. Raises what :meth:`send` would."""
        return self._run(self._prepare(paths, to, Wanted(via, voucher, wishes, again)))

    def with_password(self, prepared: Prepared, password: Secret | None, *, generated: bool = False) -> Prepared:
        """The same upload, encrypted with another password: which upload it is does not depend on the password.

        ``None`` is for one that was ``sent``, of which only the links are wanted.
        """

        async def again() -> Receiver:
            sending = replace(prepared.wishes, password=password, generated=generated)
            receiver: Receiver = await self._receiving(prepared.via).receiver(sending)
            return receiver

        return replace(prepared, receiver=self._run(again()))

    def send_prepared(
        self, prepared: Prepared, options: SendOptions | None = None, on_event: EventHandler | None = None
    ) -> SendOutcome:
        """Send what :meth:`prepare` looked at; where it is ``sent``, only say so."""
        return self._run(self._send_prepared(prepared, options, on_event))

    async def _prepare(self, paths: Paths, to: Iterable[str] | str, wanted: Wanted) -> Prepared:
        from packhorse.transfer.send import gather, pending, upload_key

        via = choose(self.settings, wanted.via, wanted.voucher)
        sending = _sending((to,) if isinstance(to, str) else tuple(to), wanted.wishes)
        given = [paths] if isinstance(paths, str | PathLike) else list(paths)
        found = await asyncio.to_thread(gather, given)
        receiver = await self._receiving(via).receiver(sending)
        check: Callable[[Any], Any] | None = getattr(receiver, "check", None)
        if check is not None:
            await check(found)
        key = upload_key(receiver.remote, receiver.about, found)
        begun = await asyncio.to_thread(pending, self.settings.state_dir)
        before = next((one for one in begun if one.key == key), None)
        empty, loops = tuple(found.empty_folders), tuple(found.loops)
        sent = None if wanted.again or before is not None else await self._sent(key, found, receiver)
        return Prepared(via, tuple(found), empty, loops, key, before, receiver, sending, sent)

    async def _sent(self, key: str, files: Sequence[LocalFile], receiver: Receiver) -> Sent | None:
        """What the same call sent a short while ago, if the portal has it still."""
        from packhorse.transfer.send import forget_sent, sent_before

        state_dir = self.settings.state_dir
        sent = await asyncio.to_thread(sent_before, state_dir, key, files)
        if sent is None:
            return None
        with suppress(NotFoundError, ExpiredError):
            if await receiver.finished(sent.state) is not None:
                return sent
        await asyncio.to_thread(forget_sent, state_dir, key)
        return None

    async def _send_prepared(
        self, prepared: Prepared, options: SendOptions | None, on_event: EventHandler | None
    ) -> SendOutcome:
        from packhorse.transfer.send import send

        fits: Callable[[Any], Any] | None = getattr(prepared.receiver, "fits", None)
        if prepared.sent is not None and (fits is None or await fits(prepared.sent.state)):
            return as_before(prepared, prepared.sent, on_event or _ignore)
        return await send(
            prepared.receiver,
            prepared.files,
            options or self.send_options(),
            self.network(),
            on_event or _ignore,
            state_dir=self.settings.state_dir,
            pool=Engine.shared().pool,
        )

    def send_options(self, **overrides: Any) -> SendOptions:
        """How to send, by the settings; ``overrides`` are fields of :class:`SendOptions`."""
        given = self.settings.transfer
        return replace(SendOptions(jobs=given.jobs, limit_rate=given.limit_rate, retries=given.retries), **overrides)

    # What was interrupted.

    def pending(self) -> list[PendingUpload]:
        """Uploads that were begun and are not done, the latest first."""
        from packhorse.transfer.send import pending

        return pending(self.settings.state_dir)

    def discard(self, key: str, *, voucher: Secret | str | None = None) -> str:
        """Give an interrupted upload up: it is removed from the site, then here.

        ``finished`` when it had been finished after all, else ``discarded``; ``nothing`` when there is no such upload.
        A guest's needs its voucher. Raises :class:`BusyError` while another process sends it.
        """
        return self._run(self._discard(key, voucher))

    async def adiscard(self, key: str, *, voucher: Secret | str | None = None) -> str:
        """:meth:`discard` for async callers."""
        return await Engine.shared().bridge(self._discard(key, voucher))

    async def _discard(self, key: str, voucher: Secret | str | None) -> str:
        from packhorse.transfer.send import discard, pending

        begun = await asyncio.to_thread(pending, self.settings.state_dir)
        found = next((one for one in begun if one.key == key), None)
        if found is None:
            return "nothing"
        if voucher is None and found.about.get("guest"):
            raise UsageError(
                "this upload was begun by a voucher", hint=f"packhorse send --discard {key} --voucher LINK"
            )
        via = Via(found.remote) if voucher is None else choose(self.settings, _site_of(found.remote), voucher)
        receiver = await self._receiving(via).receiver(_sending((), {}))
        return await discard(receiver, key, state_dir=self.settings.state_dir, pool=Engine.shared().pool)

    # Managing.

    def manage(self, via: str | None = None) -> Any:
        """One's own transfers and guests at a site: the calls of
        :class:`packhorse.portals.filesender.manage.Manager`, made to wait for their answers."""
        manager = self._manager(via)
        return Face(manager, self._run)

    def amanage(self, via: str | None = None) -> Any:
        """:meth:`manage` for async callers."""
        return Face(self._manager(via), Engine.shared().bridge)

    def _manager(self, via: str | None) -> Any:
        chosen = choose(self.settings, via)
        if chosen.voucher is not None:
            raise UsageError("a guest has no transfers to manage", hint="--via REMOTE, with your own account")
        return self._receiving(chosen).manage

    def _receiving(self, via: Via) -> Any:
        portal: Any = self.portal(via.remote)
        if not hasattr(portal, "receiver"):
            raise UsageError(f"{via.remote} takes no files for people", hint="packhorse remote list")
        return portal if via.voucher is None else portal.as_guest(via.voucher)


class Face:
    """The coroutines of an object, each given to ``run`` when it is called."""

    def __init__(self, behind: Any, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._behind = behind
        self._with = run

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._behind, name)
        return (lambda *args, **kwargs: self._with(method(*args, **kwargs))) if callable(method) else method


def _site_of(remote: str) -> str | None:
    """For a voucher's id alone; its whole link says the site itself."""
    return None if "://" in remote else remote


def _sending(recipients: tuple[str, ...], wishes: Mapping[str, Any]) -> Any:
    from packhorse.portals.filesender.sending import Sending

    given = dict(wishes)
    if "transfer_options" in given:
        given["options"] = given.pop("transfer_options")
    for name in given:
        if name not in Sending.__dataclass_fields__ or name == "recipients":
            known = [*Sending.__dataclass_fields__, "transfer_options"]
            raise UsageError(f"{name!r} is not an option of send{near(name, known)}")
    if isinstance(given.get("password"), str):
        given["password"] = Secret(given["password"])
    return Sending(recipients=recipients, **given)


def _ignore(_event: Event) -> None:
    """Nobody looks."""
