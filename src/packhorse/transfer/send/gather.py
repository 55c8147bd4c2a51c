"""Which local files a *send* means, looked at before the first byte: thin I/O, every trouble named at once."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from packhorse.errors import NotFoundError, UsageError
from packhorse.transfer.ledger import LEDGER_DIR
from packhorse.transfer.outgoing import LocalFile

__all__ = ["Gathered", "gather", "local_file"]

_SHOWN: Final = 200
_Key = tuple[int, int]


class Gathered(list[LocalFile]):
    """The files to send, sorted by remote name. ``empty_folders`` and ``loops`` (links to a folder that they are in)
    are remote names of what is not sent."""

    def __init__(self, files: Iterable[LocalFile] = ()) -> None:
        super().__init__(files)
        self.empty_folders: list[str] = []
        self.loops: list[str] = []


def gather(paths: Iterable[str | os.PathLike[str]]) -> Gathered:
    """Every file at ``paths``: files, and folders with all that is in them. Links are followed. Blocks.

    A file's remote name is its own; below a folder it is relative to that folder's parent, with ``/``; names are in
    Unicode's composed form (NFC). ``~`` is expanded. Raises :class:`NotFoundError` where a given path is missing, and
    :class:`UsageError` that names everything which cannot be sent: unreadable files and folders, special files, names
    that are no text, and names that two files would share.
    """
    looked = _Look()
    given = [Path(path).expanduser() for path in paths]
    if not given:
        raise UsageError("no file was given", hint="packhorse send REMOTE FILE…")
    missing = [path for path in given if not os.path.lexists(path)]
    if missing:
        raise NotFoundError(f"no such file or folder: {_list(map(str, missing))}")
    # Without resolving links: people know a file by the name that they gave. What is given twice is sent once.
    for text in dict.fromkeys(os.path.abspath(path) for path in given):  # noqa: PTH100 - Path.absolute() keeps ".."
        looked.one(Path(text), Path(text).name)
    if looked.troubles:
        raise UsageError(f"these cannot be sent: {_list(looked.troubles)}", hint="nothing was sent")
    files = Gathered(sorted(looked.files, key=lambda file: file.name))
    _check_names(files)
    files.empty_folders, files.loops = sorted(looked.empty), sorted(looked.loops)
    return files


def local_file(path: Path, name: str) -> LocalFile:
    """One file under the remote name ``name``, opened to see that it can be read. Raises ``OSError``, ``ValueError``
    for what is no file."""
    # Not to wait for the writer of a pipe that took the file's place.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a file")
    descriptor = os.open(path, flags)
    try:
        facts = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("not a file")
    return LocalFile(path, name, facts.st_size, facts.st_mtime_ns, facts.st_dev, facts.st_ino)


class _Look:
    """What was found so far."""

    def __init__(self) -> None:
        self.files: list[LocalFile] = []
        self.empty: list[str] = []
        self.loops: list[str] = []
        self.troubles: list[str] = []

    def one(self, path: Path, name: str) -> None:
        """A file or folder that was given."""
        try:
            if path.is_dir():
                self._folder(path, name)
            else:
                self._file(path, name)
        except OSError as error:
            self._trouble(path, error)

    def _file(self, path: Path, name: str) -> None:
        text = unicodedata.normalize("NFC", name)
        try:
            text.encode("utf-8")
            self.files.append(local_file(path, text))
        except UnicodeEncodeError:
            self.troubles.append(f"{os.fsencode(path).decode('utf-8', 'backslashreplace')} (its name is no UTF-8 text)")
        except OSError as error:
            self._trouble(path, error)
        except ValueError:
            self.troubles.append(f"{path} ({_kind(path)})")

    def _folder(self, path: Path, name: str) -> None:
        """A folder and all below it, without recursion: trees may be deep."""
        below: list[tuple[Path, str, frozenset[_Key]]] = [(path, name, frozenset())]
        while below:
            folder, here, above = below.pop()
            try:
                facts = folder.stat()
                with os.scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                self._trouble(folder, error)
                continue
            key = (facts.st_dev, facts.st_ino)
            if key in above:
                self.loops.append(here)
                continue
            if not entries:
                self.empty.append(here)
            for entry in entries:
                if entry.name == LEDGER_DIR:
                    continue  # our own notes about what was fetched there
                inner = f"{here}/{entry.name}" if here else entry.name
                if _is_folder(entry):
                    below.append((Path(entry.path), inner, above | {key}))
                else:
                    self._file(Path(entry.path), inner)

    def _trouble(self, path: Path, error: OSError) -> None:
        self.troubles.append(f"{path} ({error.strerror or error})")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # it will be said when it is opened


def _kind(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError:
        return "not a file"
    for test, word in (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    ):
        if test(mode):
            return word
    return "not a file"


def _check_names(files: Gathered) -> None:
    by_name: dict[str, list[LocalFile]] = {}
    for file in files:
        by_name.setdefault(file.name, []).append(file)
    shared = [
        f"{name} ({' and '.join(str(file.path) for file in same)})" for name, same in by_name.items() if len(same) > 1
    ]
    if shared:
        raise UsageError(
            f"two files would have the same name: {_list(shared)}",
            hint="send their folder in place of the files, or rename one",
        )


def _list(names: Iterable[str]) -> str:
    return "; ".join(_some(names))


def _some(names: Iterable[str]) -> Iterator[str]:
    every = list(names)
    yield from every[:_SHOWN]
    if len(every) > _SHOWN:
        yield f"and {len(every) - _SHOWN} more"
