"""Where the trusted certificates are. The wheel's libcurl brings none of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["CA_FILES", "find_ca_bundle", "uses_native_store"]

CA_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine, Gentoo
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
    "/opt/homebrew/etc/openssl@3/cert.pem",
    "/usr/local/etc/openssl@3/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
)


def uses_native_store(platform: str = sys.platform) -> bool:
    """Whether libcurl should ask the system's own certificate store (Windows, macOS), besides any file."""
    return platform in ("win32", "darwin")


def find_ca_bundle(candidates: tuple[str, ...] = CA_FILES) -> Path | None:
    """The system's certificate file, or certifi's where it is installed, or ``None``."""
    for candidate in candidates:
        path = Path(candidate)
        if path.is_file():
            return path
    try:
        import certifi
    except ImportError:
        return None
    return Path(certifi.where())
