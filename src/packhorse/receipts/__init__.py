"""What a transfer leaves behind for others to check it with: checksum manifests and a download log."""

from __future__ import annotations

from packhorse.receipts.log import DownloadLog
from packhorse.receipts.manifests import ManifestLine, lines_of, parse, render, write_manifest, write_manifests

__all__ = ["DownloadLog", "ManifestLine", "lines_of", "parse", "render", "write_manifest", "write_manifests"]
