"""One file by Aspera: its transfer token, its ``ascp``, the keys in turn (spec immport §3.3, §5)."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from packhorse.errors import (
    BadNameError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    TransferError,
)
from packhorse.model import Item, Secret
from packhorse.net.redact import show_text
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.aspera.find import INSTALL, find_ascp, find_keys
from packhorse.portals.immport.aspera.orphans import note, settle
from packhorse.portals.immport.aspera.process import Ended, Limits, Run
from packhorse.portals.immport.aspera.verdicts import KeyRefusedError, failure
from packhorse.transfer.portal import Locator
from packhorse.transfer.tries import blocking

__all__ = ["BROUGHT", "Aspera", "arguments", "check_path", "environment"]

BROUGHT: Final = "brought"
"""The name that ascp writes under: no server's name ever reaches the file system by it."""
_AT_ONCE: Final = 2
_PORT: Final = 33001
_RATE: Final = re.compile(r"[1-9]\d{0,9}[gGmMkK]?")
_SECRET_NAMES: Final = re.compile(
    r"(PACKHORSE|IMMPORT|FLOW|FILESENDER)_.*(TOKEN|PASSWORD|SECRET|API_?KEY)(_FILE)?|ASPERA_SCP_TOKEN"
)


def check_path(path: str) -> str:
    """A server's path as ascp may be given it. Raises :class:`BadNameError`.

    >>> check_path("/SDY1/ResultFiles/a.fcs")
    'SDY1/ResultFiles/a.fcs'
    """
    bare = path.strip("/")
    if not bare or bare.startswith("-") or any(not ch.isprintable() for ch in bare) or ".." in bare.split("/"):
        raise BadNameError(f"{show_text(path)!r} cannot be asked of Aspera: '..', a line break or a leading '-'")
    return bare


def arguments(
    *, host: str, user: str, port: int, key: Path | None, pairs: Path, folder: Path, logs: Path, rate: str | None
) -> list[str]:
    """What ascp is told. Sources and names stand in the file ``pairs``, the token in the environment.

    ``-k 2`` goes on with what is there after comparing checksums of samples; ``--overwrite`` has to be said.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.:_-]*", host) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", user):
        raise TransferError(
            f"{show_text(user)}@{show_text(host)} is no place for Aspera", hint="aspera_host in the remote's settings"
        )
    words = ["-k", "2", "--overwrite=diff", "-P", str(port), "-O", str(port), "-L", str(logs)]
    if key is not None:
        words += ["-i", str(key)]
    if rate is not None:
        words += ["-l", rate]
    words += ["--mode=recv", f"--user={user}", f"--host={host}", f"--file-pair-list={pairs}", str(folder)]
    return words


def environment(environ: Mapping[str, str], token: Secret) -> dict[str, str]:
    """The environment for ascp: the transfer token, and none of our own secrets."""
    kept = {name: value for name, value in environ.items() if not _SECRET_NAMES.fullmatch(name)}
    return {**kept, "ASPERA_SCP_TOKEN": token.reveal()}


@dataclass(frozen=True, slots=True)
class _Errand:
    """One file to be brought."""

    program: Path
    source: str
    folder: Path
    tell: Callable[[int], None]
    rate: str | None


class Aspera:
    """The Aspera route of one remote. Lives on the engine's loop; ascp is waited for in threads of its own."""

    def __init__(self, api: ImmPortApi, *, limits: Limits | None = None) -> None:
        self.api = api
        self.limits = limits or Limits()
        options = api.settings.options
        self.ascp_setting = _text(options.get("ascp"))
        self.key_setting = _text(options.get("ascp_key"))
        self.rate = _text(options.get("ascp_rate"))
        self.user = _text(options.get("aspera_user")) or "databrowser"
        port = options.get("aspera_port")
        self.port = port if isinstance(port, int) else _PORT
        self.environ = api.environ
        self._pool: ThreadPoolExecutor | None = None
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._good_key: Path | None = None

    def find(self) -> Path | None:
        """The program, if there is one."""
        return find_ascp(self.ascp_setting, self.environ)

    def program(self) -> Path:
        """The program. Raises :class:`TransferError` with what to install."""
        found = self.find()
        if found is not None:
            return found
        named = self.ascp_setting or self.environ.get("ASCP") or self.environ.get("ASPERA_ASCP")
        if named:
            raise TransferError(f"{show_text(named)} is no program that can be run as ascp", hint=INSTALL)
        raise TransferError("Aspera needs the program ascp, and none was found", hint=INSTALL)

    async def locator(self, item: Item) -> Locator:
        """How the item's bytes are brought. Raises :class:`TransferError` where there is no ascp."""
        program = await asyncio.to_thread(self.program)
        source = check_path(item.labels.get("source") or item.path)
        if self.rate is not None and not _RATE.fullmatch(self.rate):
            raise TransferError(
                f"ascp_rate = {show_text(self.rate)!r} is no rate", hint="a number of bits per second: 300m, 1g"
            )

        async def bring(folder: Path, tell: Callable[[int], None], limit: int | None) -> Path:
            async with self._gate:
                return await self._bring(_Errand(program, source, folder, tell, _rate(self.rate, limit)))

        return Locator(f"aspera:{source}", size=item.size, identity=item.identity, authorised=False, bring=bring)

    async def token(self, path: str) -> Secret:
        """A transfer token for a path. Raises what the refusal means."""
        answer: Any = await self.api.post_json("download/token", {"paths": [path]})
        found = answer.get("token") if isinstance(answer, Mapping) else None
        if isinstance(found, str) and found and all("!" <= ch <= "~" for ch in found):
            return Secret(found)
        if isinstance(answer, Mapping) and (words := answer.get("message") or answer.get("error")):
            said = show_text(str(words))
            raise PermissionDeniedError(f"{self.api.remote}:{show_text(path)}: {said}", status=403)
        raise ProtocolError(f"{self.api.remote} answers the question for an Aspera token without one")

    async def _bring(self, errand: _Errand) -> Path:
        await asyncio.to_thread(settle, errand.folder, BROUGHT)
        keys = await asyncio.to_thread(find_keys, errand.program, self.key_setting, self.environ)
        order: list[Path | None] = sorted(keys, key=lambda key: key != self._good_key)
        refused: KeyRefusedError | None = None
        for key in order or [None]:
            try:
                ended = await self._run(errand, key)
            except KeyRefusedError as error:
                refused = error
                continue
            problem = _judge(ended, errand.folder)
            if problem is None:
                self._good_key = key
                return errand.folder / BROUGHT
            if not isinstance(problem, KeyRefusedError):
                raise problem
            refused = problem
        tried = ", ".join(key.name for key in keys) or "none was found"
        assert refused is not None
        raise KeyRefusedError(
            f"{refused.message} (keys tried: {tried})",
            hint="name a key that the server takes: ascp_key in the remote's settings; --route https does without",
        )

    async def _run(self, errand: _Errand, key: Path | None) -> Ended:
        # A transfer token may hold for a minute only: each try gets its own.
        token = await self.token(errand.source)
        scratch = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="packhorse-ascp-"))
        try:
            pairs = scratch / "pairs"
            pairs.write_text(f"{errand.source}\n{BROUGHT}\n", encoding="utf-8")
            words = arguments(
                host=self.api.bases.aspera_host,
                user=self.user,
                port=self.port,
                key=key,
                pairs=pairs,
                folder=errand.folder.absolute(),
                logs=scratch,
                rate=errand.rate,
            )
            run = Run(
                errand.program,
                words,
                environment(self.environ, token),
                measure=lambda: _written(errand.folder),
                tell=errand.tell,
                started=partial(note, errand.folder),
                limits=self.limits,
            )
            ended = await blocking(self._threads(), run.run, run.stop)
            log = scratch / "aspera-scp-transfer.log"
            return Ended(ended.status, _with_log(ended.said, log), ended.code, ended.words)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="packhorse-ascp")
        return self._pool

    def close(self) -> None:
        """Give the threads back."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


def _judge(ended: Ended, folder: Path) -> PackhorseError | None:
    """What is wrong, if anything. That ascp ends well says little: what it left decides."""
    if ended.status != 0:
        return failure(ended.status, ended.said, ended.code, ended.words)
    if (folder / BROUGHT).exists():
        return None
    if ended.code is not None:
        return failure(ended.status, ended.said, ended.code, ended.words)
    if "no such file" in ended.said.lower():
        return NotFoundError("ascp found no such file")
    return ProtocolError("ascp ended as if all was well (exit 0), and left no file", hint="--route https")


def _written(folder: Path) -> int:
    """Bytes of the file as it grows, whatever suffix ascp gives it on the way."""
    most = 0
    try:
        for path in folder.iterdir():
            if path.name.startswith(BROUGHT):
                state = path.stat()
                # A file may be made at its full length first: what counts is what is written.
                most = max(most, min(state.st_size, getattr(state, "st_blocks", state.st_size) * 512))
    except OSError:
        pass
    return most


def _with_log(said: str, log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            return f"{file.read().decode('utf-8', 'replace')}\n{said}"
    except OSError:
        return said


def _rate(configured: str | None, limit: int | None) -> str | None:
    """The target rate: the setting's, or the lower one that the call wants (bytes per second), in bits."""
    if limit is None:
        return configured
    wanted = max(1, limit * 8 // 1000)
    if configured is not None:
        unit = {"g": 1_000_000, "m": 1000, "k": 1}.get(configured[-1].lower())
        own = int(configured[:-1]) * unit if unit else int(configured) // 1000
        wanted = min(wanted, max(1, own))
    return f"{wanted}k"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
