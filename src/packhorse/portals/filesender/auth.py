"""Who speaks to a FileSender server: a user's key, an application, a guest, or nobody (spec §2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from packhorse.credentials.keeping import forget_stored, keep, stored_username
from packhorse.credentials.ladder import Answer, Attempt, Credential, Source, climb, sendable
from packhorse.credentials.single import Single
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.errors import AuthenticationError
from packhorse.model import Secret
from packhorse.net.message import Request, ResponseHead
from packhorse.net.redirect import same_origin
from packhorse.portals.context import PortalContext
from packhorse.portals.filesender.clock import Clock
from packhorse.portals.filesender.guest import GuestDoor, Voucher
from packhorse.portals.filesender.ini import ini_file, read_ini
from packhorse.settings import DEMO_FILES, variable_prefix
from packhorse.wire.filesender.links import site_base
from packhorse.wire.filesender.signing import signed_url

__all__ = ["FileSenderAuth", "Signer", "signed", "source_for"]

Mode = Literal["user", "application", "guest", "anonymous"]
_SLOWEST: Final = 16 * 1024  # bytes per second at which a signed body still arrives in time
_IN_THREAD: Final = 256 * 1024  # bodies above this are signed in a thread: the loop serves other requests meanwhile


@dataclass(frozen=True, slots=True)
class Signer:
    """What signs: a user's key (``user``), or an application's secret (``application``, ``user`` when it acts for one).

    ``delay`` post-dates the timestamp, in seconds. ``algorithm`` is the site's; it is announced nowhere.
    """

    key: Secret
    user: str | None = None
    application: str | None = None
    algorithm: str = "sha1"
    delay: int = 0


def signed(request: Request, by: Signer, timestamp: int) -> Request:
    """The request with ``timestamp`` and ``signature`` in its query (spec §2.1). Reads the whole body."""
    body = request.body
    url = signed_url(
        request.method,
        request.url,
        by.key.reveal(),
        timestamp=timestamp,
        user=by.user or "",
        application=by.application or "",
        body=body if isinstance(body, bytes) else tuple(map(bytes, body())) if body is not None else b"",
        algorithm=by.algorithm,
    )
    return replace(request, url=url, secret_url=True)


def source_for(context: PortalContext) -> Source:
    """Where this remote's key may be.

    ``FILESENDER_APIKEY`` with ``FILESENDER_USERNAME`` are for the server that ``FILESENDER_BASE_URL`` names, or where
    that is not set for any configured remote: a signature does not give the key away.
    """
    remote, env = context.remote, context.environ
    own = variable_prefix(remote.name)
    general = _meant(env.get("FILESENDER_BASE_URL"), remote.url)
    store = TokenStore(context.state_dir, remote.name)
    username = remote.username or env.get(f"{own}_USERNAME") or (env.get("FILESENDER_USERNAME") if general else None)
    if username is None:
        username = stored_username(store, remote.url)
    command = remote.options.get("token_command")
    pairs = [(f"{own}_USERNAME", f"{own}_APIKEY"), (f"{own}_USERNAME", f"{own}_PASSWORD")]
    if general:
        pairs += [("FILESENDER_USERNAME", "FILESENDER_APIKEY"), ("FILESENDER_USERNAME", "FILESENDER_API_KEY")]
    return Source(
        remote=remote.name,
        url=remote.url,
        environ=env,
        store=store,
        explicit=context.explicit,
        token_variables=(f"{own}_TOKEN", f"{own}_APIKEY", f"{own}_SECRET", *(("FILESENDER_APIKEY",) * general)),
        password_variables=tuple(pairs),
        username=username,
        command=command if isinstance(command, str) else None,
        command_limit=float(remote.options.get("token_timeout", 10.0)),
        keyring_services=(f"packhorse-{remote.name}",) if remote.options.get("keyring", True) else (),
        prompt=context.prompt,
    )


def _meant(named: str | None, url: str) -> bool:
    return not named or site_base(named) == site_base(url)


class FileSenderAuth:
    """The credential in use at one remote. Lives on the engine's loop; the ladder is climbed at the first need.

    ``voucher`` makes it a guest; ``by`` a signer that was given.
    """

    def __init__(self, context: PortalContext, base: str, *, voucher: Voucher | None = None, by: Signer | None = None):
        self.remote = context.remote.name
        self.base = base
        self.context = context
        self.network = context.network
        self.clock = Clock()
        self.by = by
        self.door = None if voucher is None else GuestDoor(self.remote, base, voucher, context.network)
        self.source = source_for(context)
        self.anonymous = context.anonymous
        self.answer: Answer | None = Answer(None, ()) if by is not None or voucher is not None else None
        self._single = Single()
        self._told = False

    @property
    def mode(self) -> Mode:
        """How requests go out, once :meth:`ready` was awaited."""
        if self.door is not None:
            return "guest"
        if self.by is None:
            return "anonymous"
        return "user" if self.by.application is None else "application"

    @property
    def signs(self) -> bool:
        """Whether requests are signed."""
        return self.by is not None and self.door is None

    async def ready(self) -> None:
        """Climb the ladder, once; as a guest, enter by the voucher's page. Raises what either raises."""
        if self.door is not None:
            if not self.door.open:
                await self.door.enter(after=self.door.generation)
            return
        if self.answer is None:
            async with self._single():
                if self.answer is None:
                    self.answer = await self._climb()

    async def require(self, what: str) -> None:
        """Like :meth:`ready`; raises :class:`AuthenticationError` when there is no credential for ``what``."""
        await self.ready()
        if self.mode == "anonymous":
            raise self.missing(what)

    def missing(self, what: str) -> AuthenticationError:
        """The error where a credential is needed and there is none."""
        login = f"packhorse login {self.remote}"
        return AuthenticationError(
            f"{self.remote}: {what} needs an API key, and none was found",
            # the demo's key lies ready on this machine
            hint=login
            if self.remote == DEMO_FILES
            else f"make one at {self.base}/?s=user, then: {login} --username NAME --token-stdin",
        )

    async def authorise(self, request: Request) -> Request:
        """The finished request, signed with the server's time, or dressed as the guest; untouched for nobody.

        Called just before every attempt. Nothing is added for another server's address.
        """
        if not (same_origin(request.url, self.base) and request.url.startswith(self.base + "/")):
            return request
        await self.ready()
        if self.door is not None:
            return self.door.dress(self._with_vid(request))
        if self.by is None:
            return request
        size = len(request.body) if isinstance(request.body, bytes) else (request.body_size or 0)
        # The timestamp is looked at when the body has come: slow lines are given the time for it.
        timestamp = self.clock.now() + self.by.delay + size // _SLOWEST
        if size > _IN_THREAD:
            return await asyncio.to_thread(signed, request, self.by, timestamp)
        return signed(request, self.by, timestamp)

    def _with_vid(self, request: Request) -> Request:
        assert self.door is not None
        parts = urlsplit(request.url)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "vid"]
        query.append(("vid", self.door.voucher.vid.reveal()))
        url = urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
        return replace(request, url=url, secret_url=True)

    async def renew(self, refused: Request) -> bool:
        """Another try makes sense: a guest enters again; a key cannot be renewed."""
        if self.door is None:
            return False
        before = self.door.generation
        current = self.door.dress(replace(refused, headers={}))
        stale = {name.lower(): value for name, value in refused.headers.items()}
        if any(stale.get(name.lower()) != value for name, value in current.headers.items()):
            return True  # somebody else did
        await self.door.enter(after=before)
        return True

    def learn(self, head: ResponseHead) -> bool:
        """Read the clock and rotated tokens off an answer. True when the clock was set anew."""
        if not same_origin(head.url, self.base):
            return False
        if self.door is not None:
            self.door.learn(head)
        moved = self.clock.learn(head)
        notice = self.clock.notice(self.remote)
        if notice is not None and not self._told and self.signs:
            self._told = True
            if self.context.notify is not None:
                self.context.notify(notice)
        return moved

    # The ladder.

    async def _climb(self) -> Answer:
        if self.anonymous:
            return Answer(None, ())
        answer = await asyncio.to_thread(climb, self.source)
        if answer.credential is None:
            answer = await asyncio.to_thread(self._ini, answer)
        credential = answer.credential
        if credential is not None:
            self.by = self._signer(credential)
        return answer

    def _ini(self, answer: Answer, *, every_rung: bool = False) -> Answer:
        """The last rung: the settings file of FileSender's own script."""
        path = ini_file(self.context.environ)
        try:
            found = read_ini(path, self.base)
        except Exception as error:
            if not every_rung:
                raise
            return replace(answer, attempts=(*answer.attempts, Attempt("file", "failed", str(error))))
        if found is None or found.api_key is None or found.username is None:
            said = f"{path} {'holds no key' if found is not None else 'is not there, or is for another server'}"
            return replace(answer, attempts=(*answer.attempts, Attempt("file", "empty", said)))
        credential = Credential("file", str(path), token=found.api_key, username=found.username)
        attempts = (*answer.attempts, Attempt("file", "answered", str(path)))
        return Answer(answer.credential or credential, attempts)

    def _signer(self, credential: Credential) -> Signer:
        options, env = self.context.remote.options, self.context.environ
        own = variable_prefix(self.remote)
        application = options.get("application") or env.get(f"{own}_APPLICATION")
        key = credential.token or credential.password
        user = credential.username or self.source.username
        if key is None:
            raise AuthenticationError(f"{self.remote}: {credential.origin} holds no API key")
        if user is None and not application:
            raise AuthenticationError(
                f"{self.remote}: an API key was found ({credential.origin}), but not whose it is",
                hint=f"set {own}_USERNAME, or username in [remotes.{self.remote}]: it stands at {self.base}/?s=user",
            )
        return Signer(
            sendable(key, credential.origin),
            user,
            str(application) if application else None,
            str(options.get("signature_algorithm", "sha1")),
        )

    async def credentials(self) -> Answer:
        """What every rung says, for ``doctor``. Raises nothing."""
        answer = await asyncio.to_thread(climb, self.source, every_rung=True)
        return await asyncio.to_thread(self._ini, answer, every_rung=True)

    # Keeping and forgetting.

    def use(self, key: Secret, username: str | None) -> None:
        """Sign with this key from now on."""
        credential = Credential("explicit", "this sign-in", token=key, username=username)
        self.by = self._signer(credential)
        self.answer = Answer(credential, ())

    async def keep(self, key: Secret, username: str | None, where: str) -> str:
        """Keep the key: ``file`` or ``auto`` (0600), ``keyring``, or ``none``. Returns where, for a person."""
        held = StoredTokens(self.context.remote.url, key, None, username)
        return (await asyncio.to_thread(keep, self.source, held, where, what="key")).where

    async def forget(self) -> bool:
        """Delete what is stored, in file and keyring. True when there was anything."""
        self.by = None
        self.answer = Answer(None, ())
        return await asyncio.to_thread(forget_stored, self.source)
