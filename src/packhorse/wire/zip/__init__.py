"""ZIP files: laying one out without writing it, and reading one without trusting it (DESIGN §6)."""

from packhorse.wire.archives import Span
from packhorse.wire.zip.directory import ReadEntry
from packhorse.wire.zip.layout import ZipEntry, ZipLayout
from packhorse.wire.zip.reading import Limits, data_slice, directory_steps, head_range, read_directory, read_slice
from packhorse.wire.zip.unpacking import entry_blocks

__all__ = [
    "Limits",
    "ReadEntry",
    "Span",
    "ZipEntry",
    "ZipLayout",
    "data_slice",
    "directory_steps",
    "entry_blocks",
    "head_range",
    "read_directory",
    "read_slice",
]
