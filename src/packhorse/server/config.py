"""What a server is started with. Read once and handed down; nothing here reads the environment."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from packhorse.errors import SettingsError
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.server.immport.settings import ImmPortSettings

__all__ = ["MailSettings", "ServerConfig", "read_private", "write_private"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """The mail server that letters go through. Without a ``host`` they become files in the home's ``outbox``.

    ``port`` 0 is the usual one of ``security`` (25, 587, 465). ``sender`` is the From address. ``ca_file`` has the
    certificates to trust, where the system's do not do. Raises :class:`SettingsError` for what cannot be meant.
    """

    host: str = ""
    port: int = 0
    security: Literal["none", "starttls", "tls"] = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    sender_name: str = "Packhorse"
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if self.security not in ("none", "starttls", "tls"):
            raise SettingsError(f"mail security {self.security!r} is unknown", hint="none, starttls or tls")
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"the mail server's port {self.port} is none")
        if any(ord(sign) < 32 for sign in f"{self.host}{self.user}{self.password}{self.sender}{self.sender_name}"):
            raise SettingsError("the mail settings hold control characters")
        if self.password and self.security == "none" and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise SettingsError(
                "a mail password would cross the network in the clear", hint='mail security = "starttls" or "tls"'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One server's settings; only ``home`` must be given.

    ``public_url`` is what users type (scheme and host), for links and for the ``Secure`` flag of cookies; without it
    the address the server listens on counts. Times are in seconds, sizes in bytes.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    database_url: str | None = None
    token_seconds: float = 30 * 60
    refresh_seconds: float = 365 * 24 * 3600
    json_limit: int = 1 << 20
    signin_attempts: int = 10
    signin_window: float = 300
    shutdown_seconds: int = 3
    mail: MailSettings = field(default_factory=MailSettings)
    filesender: FileSenderSettings = field(default_factory=FileSenderSettings)
    immport: ImmPortSettings = field(default_factory=ImmPortSettings)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL: SQLite in the home, unless another one was given."""
        return self.database_url or f"sqlite:///{(self.home / 'packhorse.db').as_posix()}"

    @property
    def objects(self) -> Path:
        return self.home / "objects"

    @property
    def jobs(self) -> Path:
        """The queue of jobs."""
        return self.home / "jobs.db"

    @property
    def secure(self) -> bool:
        """Whether users reach the server by HTTPS, so that cookies may (and must) say ``Secure``."""
        if self.public_url is not None:
            return self.public_url.lower().startswith("https:")
        return self.tls_cert is not None

    def prepare(self) -> None:
        """Make the home folder, closed to others. Raises :class:`SettingsError` when that cannot be done."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.objects.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the server's home {self.home} cannot be used: {error.strerror}", hint="packhorse serve --home DIR"
            ) from error

    def signing_key(self) -> bytes:
        """The key that signs tokens: made at first use, 0600, the same for every process of this home."""
        path = self.home / "secret"
        for _ in range(2):
            if (text := read_private(path)) is not None:
                return text.strip().encode("ascii")
            write_private(path, secrets.token_urlsafe(48))
        raise SettingsError(f"the signing key {path} cannot be read back")


def read_private(path: Path) -> str | None:
    """A 0600 file's text, or ``None`` when there is none. Raises :class:`SettingsError` when others could read it."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & 0o077:
                raise SettingsError(f"{path} can be read by others", hint=f"chmod 600 {path}")
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file that appears whole; a file that another process made first is left as it is."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here: a plain rename, which is atomic too
            if not path.exists():
                draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
