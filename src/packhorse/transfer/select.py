"""Which of the listed files are wanted: ``--include`` and ``--exclude``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from packhorse.transfer.options import Want

__all__ = ["matches", "select"]


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern means this path: shell wildcards over the whole path, or over the name alone.

    >>> matches("results/counts/all.tsv", "*.tsv"), matches("results/a.html", "results/*"), matches("a.bam", "*.BAM")
    (True, True, False)
    """
    return fnmatchcase(path, pattern) or fnmatchcase(path.rpartition("/")[2], pattern)


def select(wants: Sequence[Want], include: Sequence[str], exclude: Sequence[str]) -> list[Want]:
    """Those wanted: any of ``include`` matches (or there is none), and none of ``exclude`` does."""
    return [
        want
        for want in wants
        if (not include or any(matches(want.item.path, pattern) for pattern in include))
        and not any(matches(want.item.path, pattern) for pattern in exclude)
    ]
