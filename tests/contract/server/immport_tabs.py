"""Small packages by hand for the tests: nothing of the reader, nothing of the writer that ships."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["STUDY", "read_tables", "tab_zip"]

STUDY = "STUDY_ACCESSION\tBRIEF_TITLE\tLATEST_DATA_RELEASE_VERSION\n"


def tab_zip(
    path: Path,
    tables: Mapping[str, str | bytes],
    *,
    top: str = "SDY7-DR30_Tab/Tab/",
) -> Path:
    """A ZIP with these files (``name`` without a dot is a table); a ``study`` is added where there is none."""
    files = {"study": f"{STUDY}SDY7\tA title\tDR30\n", **tables}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(f"{top}{name}" + ("" if "." in name else ".txt"), text)
    return path


def read_tables(path: Path | bytes) -> dict[str, list[dict[str, str]]]:
    """A package's tables, read as naively as can be: for comparison."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(path) if isinstance(path, bytes) else path) as opened:
        for name in opened.namelist():
            if name.endswith(".txt") and "/Tab/" in name and name.count("/") == 2:
                head, *lines = opened.read(name).decode().rstrip("\n").split("\n")
                columns = head.lower().split("\t")
                rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines]
                found[name.rpartition("/")[2][:-4]] = rows
    return found
