"""Every error that Packhorse raises, in one tree.

::

    PackhorseError                      code, hint, retryable, exit_code
    ├── UsageError                      2   the call itself is wrong
    │   ├── AddressError                    an address that cannot be read, or an unknown remote
    │   ├── SettingsError                   a settings file or variable that cannot be used
    │   └── BadNameError                    a name from a server that no file can have
    ├── AuthenticationError             3   no credential, a bad one, or an expired one (HTTP 401)
    │   └── CredentialStoreError            a credential store that cannot be used, a loose file mode
    ├── NotFoundError                   4   no such thing (HTTP 404)
    ├── TransferError                   1   moving bytes failed
    │   ├── RemoteError                     the server answered with an error (status)
    │   │   ├── PermissionDeniedError           signed in without the right (HTTP 403)
    │   │   ├── ExpiredError                    it was there, it is over (HTTP 410)
    │   │   ├── RateLimitedError                429 or 503 with a wait that is too long
    │   │   └── ServerError                     5xx after all retries
    │   ├── NetworkError                    no answer, a cut connection, TLS, a proxy
    │   │   ├── TlsError                        the certificate is not trusted
    │   │   ├── RefusedError                    nobody answers at that port
    │   │   └── StalledError                    nothing came for the stall time
    │   ├── ProtocolError                   an answer that breaks the rules (wrong range, HTML for data)
    │   ├── ChangedError                    the remote object changed while it was read
    │   ├── IntegrityError                  the bytes are not the stated ones (expected, got)
    │   ├── DecryptionError             3   a wrong password, or encrypted bytes that were changed
    │   ├── DestinationError                the destination cannot be written, or already holds something else
    │   │   └── SpaceError                      not enough space or inodes (required, available)
    │   ├── BusyError                       another process holds the lease
    │   └── PartialError                5   some files failed, the others are done
    ├── PackageError                    1   a release package that cannot be imported (problems)
    ├── UnverifiedError                 6   done, but not proven as was required
    └── InterruptedTransfer             130 stopped by the user; resumable
"""

from __future__ import annotations

__all__ = [
    "AddressError",
    "AuthenticationError",
    "BadNameError",
    "BusyError",
    "ChangedError",
    "CredentialStoreError",
    "DecryptionError",
    "DestinationError",
    "ExitCode",
    "ExpiredError",
    "IntegrityError",
    "InterruptedTransfer",
    "NetworkError",
    "NotFoundError",
    "PackageError",
    "PackhorseError",
    "PartialError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitedError",
    "RefusedError",
    "RemoteError",
    "ServerError",
    "SettingsError",
    "SpaceError",
    "StalledError",
    "TlsError",
    "TransferError",
    "UnverifiedError",
    "UsageError",
]

import enum
from typing import ClassVar


class ExitCode(enum.IntEnum):
    """The exit codes of the command line (a contract: DESIGN §4)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    AUTHENTICATION = 3
    NOT_FOUND = 4
    PARTLY = 5
    UNVERIFIED = 6
    INTERRUPTED = 130


class PackhorseError(Exception):
    """The root. ``str(error)`` is one line for a person; ``hint`` is what to do or type next.

    Messages are built from redacted texts only: a secret that reaches one is a bug.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str | None] = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint

    def as_dict(self) -> dict[str, object]:
        """The error as the ``failed`` event and ``--json`` show it."""
        shown: dict[str, object] = {"code": self.code, "message": self.message, "retryable": self.retryable}
        if self.hint:
            shown["hint"] = self.hint
        return shown


class UsageError(PackhorseError):
    """The call itself is wrong; nothing was asked of any server."""

    code = "usage"
    exit_code = ExitCode.USAGE


class AddressError(UsageError):
    """An address that cannot be read, or one of an unknown remote."""

    code = "bad-address"
    default_hint = "packhorse remote list"


class SettingsError(UsageError):
    """A settings file, variable or option whose value cannot be used."""

    code = "bad-settings"
    default_hint = "packhorse config show"


class BadNameError(UsageError):
    """A name from a server that cannot be made into a file name, even by mapping."""

    code = "bad-name"


class AuthenticationError(PackhorseError):
    """No credential, a wrong one, or one that expired and could not be renewed (HTTP 401)."""

    code = "unauthenticated"
    exit_code = ExitCode.AUTHENTICATION
    status = 401


class CredentialStoreError(AuthenticationError):
    """A rung of the credential ladder cannot be used (a file that others can read, a failing command)."""

    code = "credential-store"


class NotFoundError(PackhorseError):
    """No such record, file or path, or not visible to this user (HTTP 404)."""

    code = "not-found"
    exit_code = ExitCode.NOT_FOUND
    status = 404


class TransferError(PackhorseError):
    """Moving bytes failed."""

    code = "transfer-failed"


class RemoteError(TransferError):
    """The server answered with an error status that nothing more specific describes."""

    code = "remote-error"

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "status": self.status}


class PermissionDeniedError(RemoteError):
    """Signed in, without the right (HTTP 403)."""

    code = "forbidden"


class ExpiredError(RemoteError):
    """It was there, and it is over (HTTP 410)."""

    code = "expired"


class RateLimitedError(RemoteError):
    """The server asks for a longer pause than Packhorse waits by itself (10 minutes)."""

    code = "rate-limited"
    retryable = True


class ServerError(RemoteError):
    """The server failed (5xx) on every try."""

    code = "server-error"
    retryable = True


class NetworkError(TransferError):
    """No answer, a refused or cut connection, a proxy that failed."""

    code = "network"
    retryable = True
    default_hint = "packhorse doctor"


class TlsError(NetworkError):
    """The server's certificate is not trusted, or TLS could not be agreed on."""

    code = "tls"
    retryable = False
    default_hint = "give your site's CA certificates with --ca-bundle FILE or SSL_CERT_FILE; packhorse doctor explains"


class RefusedError(NetworkError):
    """Nobody answers at that host and port; the request surely did nothing."""

    code = "refused"


class StalledError(NetworkError):
    """Nothing came for the whole stall time."""

    code = "stalled"


class ProtocolError(TransferError):
    """An answer that breaks the rules: a wrong range, a total that changed, HTML where data was expected."""

    code = "protocol"


class ChangedError(TransferError):
    """The remote object changed while it was being read, more often than is tolerated."""

    code = "changed"
    retryable = True


class IntegrityError(TransferError):
    """The bytes that arrived are not the ones the source stated. Nothing was placed.

    ``expected`` and ``got`` are ``algorithm:hex`` (or a size in bytes).
    """

    code = "integrity"

    def __init__(self, message: str, *, expected: str, got: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.got = got

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "expected": self.expected, "got": self.got}


class DecryptionError(TransferError):
    """An end-to-end encrypted file that cannot be decrypted: the password is wrong, or bytes were changed.

    Not an :class:`AuthenticationError`: no server refused anything, and nothing can be renewed.
    """

    code = "decryption"
    exit_code = ExitCode.AUTHENTICATION
    default_hint = "check the password; it came from the sender by another way than the link"


class DestinationError(TransferError):
    """The destination cannot be written, or already holds something else."""

    code = "destination"


class SpaceError(DestinationError):
    """Not enough free space or inodes. ``required`` and ``available`` are in bytes (or inodes)."""

    code = "no-space"

    def __init__(self, message: str, *, required: int, available: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.required = required
        self.available = available

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "required": self.required, "available": self.available}


class BusyError(TransferError):
    """Another process is fetching the same file to the same place."""

    code = "busy"
    retryable = True


class PartialError(TransferError):
    """Some files failed; the others are done and recorded."""

    code = "partly-done"
    exit_code = ExitCode.PARTLY


class PackageError(PackhorseError):
    """A study's release package that cannot be imported as it is; nothing of it was.

    ``problems`` are the first reasons in words (``file:line: reason``), ``total`` is how many there are.
    """

    code = "bad-package"
    default_hint = "a whole release package in Tab form is wanted: fetch it again"

    def __init__(
        self, message: str, *, problems: tuple[str, ...] = (), total: int = 0, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems
        self.total = max(total, len(problems))

    def as_dict(self) -> dict[str, object]:
        shown = super().as_dict()
        return {**shown, "problems": list(self.problems), "total": self.total} if self.problems else shown


class UnverifiedError(PackhorseError):
    """Everything arrived, but not with the proof that ``--require`` asked for."""

    code = "unverified"
    exit_code = ExitCode.UNVERIFIED


class InterruptedTransfer(PackhorseError):  # noqa: N818 - not a fault: the user asked for it
    """Stopped by the user. What arrived is journalled; the same command goes on from there."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED
    retryable = True
