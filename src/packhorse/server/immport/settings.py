"""What an ImmPort server is set to: how long tokens, keys and links live."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ImmPortSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmPortSettings:
    """Times in seconds, but ``key_days`` and ``link_days`` in days.

    ``token_seconds``: tokens of ``/auth/token`` and OAuth (3600 as the service has it now, 60 as it had before 2022).
    ``transfer_seconds``: Aspera tokens. ``key_days``: API keys. ``link_days``: signed ``s3`` links; ``stream_seconds``:
    ``stream`` links (spec §1.1, §1.3, §3.5). ``package_size``: bytes of an uploaded package, ``package_files``: files
    in one, ``package_rows``: rows of all its templates.
    """

    token_seconds: int = 3600
    transfer_seconds: int = 24 * 3600
    stream_seconds: int = 3600
    key_days: int = 30
    link_days: int = 7
    package_size: int = 256 << 30
    package_files: int = 10_000
    package_rows: int = 250_000
