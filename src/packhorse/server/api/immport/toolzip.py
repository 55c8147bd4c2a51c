"""``immport-data-download-tool.zip``: our own small folder in place of NIAID's, whose programs are not ours to give."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["tool_zip"]

_ROOT: Final = "immport-data-download-tool"
_DATE: Final = (2026, 1, 1, 0, 0, 0)


@cache
def tool_zip() -> bytes:
    """The archive; the same bytes every time."""
    folder = Path(__file__).parents[2] / "templates" / "immport_tool"
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode in (("README.txt", 0o644), ("bin/immport-download.sh", 0o755)):
            entry = zipfile.ZipInfo(f"{_ROOT}/{name}", _DATE)
            entry.create_system, entry.external_attr = 3, (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (folder / Path(name).name).read_bytes())
    return held.getvalue()
