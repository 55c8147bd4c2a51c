"""Small packages by hand for the tests: nothing of the reader, nothing of the writer that ships."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database

__all__ = ["STUDY", "fresh_config", "read_tables", "tab_zip"]

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


def fresh_config(home: Path) -> ServerConfig:
    """A home with an empty database; migrating one for each test would take longer than the tests."""
    home.mkdir(mode=0o700)
    (home / "packhorse.db").write_bytes(_empty_database())
    return ServerConfig(home=home)


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        config = ServerConfig(home=Path(folder) / "home")
        open_database(config).close()
        return (config.home / "packhorse.db").read_bytes()
