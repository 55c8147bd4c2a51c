"""Demo files in real formats, made from fixed seeds: nothing is copied from anywhere."""

from __future__ import annotations

import array
import html
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from isal import isal_zlib

__all__ = ["counts_table", "fastq_gz", "fcs", "multiqc_report", "pipeline_report", "tpm_table"]

_BASES: Final = bytes(b"ACGT"[i & 3] for i in range(256))
# qualities as an instrument gives them: mostly high, some low
_QUALITIES: Final = bytes(33 + (2 + i % 30 if i < 40 else 30 + i % 11) for i in range(256))
_GENES: Final = (
    "ACTB", "GAPDH", "TP53", "MYC", "CD4", "CD8A", "IL2RA", "FOXP3", "IFNG", "TNF", "CXCL8", "STAT1", "JAK2", "NRAS",
    "BRCA1", "EGFR", "KRAS", "PTPRC", "CD19", "MS4A1", "NCAM1", "ITGAM", "HLA-A", "B2M", "GZMB", "PRF1", "LAG3",
)  # fmt: skip


def fastq_gz(seed: int, *, mate: int, reads: int | None = None, at_least: int | None = None) -> Iterator[bytes]:
    """A gzip FASTQ of reads of 150 bases, in pieces: so many ``reads``, or until it has ``at_least`` so many bytes."""
    source, length = random.Random(seed), 150
    packer = isal_zlib.compressobj(level=1, wbits=31)
    number = size = 0
    while (reads is None or number < reads) and (at_least is None or size < at_least):
        batch = min(5000, reads - number) if reads is not None else 5000
        bases = source.randbytes(batch * length).translate(_BASES)
        qualities = source.randbytes(batch * length).translate(_QUALITIES)
        text = b"".join(
            b"@PH01:7:DEMO:1:%d:%d:%d %d:N:0:ACGTAC\n%b\n+\n%b\n"
            % (
                1101 + (number + i) // 10000,
                1000 + (number + i) % 10000,
                2000 + i,
                mate,
                bases[a : a + length],
                qualities[a : a + length],
            )
            for i, a in enumerate(range(0, batch * length, length))
        )
        number += batch
        if piece := packer.compress(text):
            size += len(piece)
            yield piece
    yield packer.flush()


_CHANNELS: Final = ("FSC-A", "FSC-H", "SSC-A", "FITC-A", "PE-A", "PerCP-Cy5-5-A", "APC-A", "Time")


def fcs(seed: int, size: int, *, name: str, date: str = "20-APR-2017") -> bytes:
    """A list-mode FCS 3.1 file of exactly ``size`` bytes: 8 channels of 32-bit floats, two populations of cells."""
    width, tail = 4 * len(_CHANNELS), b"00000000"  # the CRC field of a file that computes none
    events = (size - 2048 - len(tail)) // width
    begin = size - len(tail) - events * width
    source = random.Random(seed)
    values = array.array("f")
    for event in range(events):
        scatter, marker = (60_000.0, 900.0) if source.random() < 0.7 else (110_000.0, 12_000.0)
        forward = max(source.gauss(scatter, scatter / 6), 1.0)
        values.extend((forward, forward * 0.82, max(source.gauss(scatter / 2, scatter / 9), 1.0)))
        values.extend(source.lognormvariate(0, 0.5) * marker for _ in range(4))
        values.append(event / 100)
    if sys.byteorder == "big":
        values.byteswap()
    keywords = {
        "$BEGINANALYSIS": "0",
        "$ENDANALYSIS": "0",
        "$BEGINSTEXT": "0",
        "$ENDSTEXT": "0",
        "$BEGINDATA": str(begin),
        "$ENDDATA": str(begin + events * width - 1),
        "$BYTEORD": "1,2,3,4",
        "$DATATYPE": "F",
        "$MODE": "L",
        "$NEXTDATA": "0",
        "$PAR": str(len(_CHANNELS)),
        "$TOT": str(events),
        "$FIL": name,
        "$DATE": date,
        "$CYT": "Demonstration cytometer",
    }
    for number, channel in enumerate(_CHANNELS, 1):
        keywords |= {f"$P{number}B": "32", f"$P{number}E": "0,0", f"$P{number}N": channel, f"$P{number}R": "262144"}
    text = ("|" + "".join(f"{key}|{value}|" for key, value in keywords.items())).encode("ascii")
    offsets = (58, 58 + len(text) - 1, begin, begin + events * width - 1, 0, 0)
    header = b"FCS3.1    " + b"".join(b"%8d" % (offset if offset <= 99_999_999 else 0) for offset in offsets)
    return (header + text).ljust(begin, b" ") + values.tobytes() + tail


def _genes(seed: int, samples: Sequence[str], rows: int) -> Iterator[tuple[str, str, list[int]]]:
    source = random.Random(seed)
    for number in range(rows):
        symbol = _GENES[number] if number < len(_GENES) else f"DEMO{number:05}"
        level = source.lognormvariate(4, 2)
        yield f"PHG{number + 1:011}", symbol, [int(level * source.uniform(0.7, 1.3)) for _ in samples]


def counts_table(samples: Sequence[str], rows: int = 12_000) -> Iterator[bytes]:
    """Gene counts as tab-separated text: ``gene_id``, ``gene_name``, one column per sample."""
    yield "\t".join(("gene_id", "gene_name", *samples)).encode() + b"\n"
    for gene, symbol, counts in _genes(456, samples, rows):
        yield "\t".join((gene, symbol, *map(str, counts))).encode() + b"\n"


def tpm_table(samples: Sequence[str], rows: int = 12_000) -> Iterator[bytes]:
    """Transcripts per million, whose columns add up to a million."""
    table = list(_genes(457, samples, rows))
    sums = [sum(counts[i] for _, _, counts in table) or 1 for i in range(len(samples))]
    yield "\t".join(("gene_id", "gene_name", *samples)).encode() + b"\n"
    for gene, symbol, counts in table:
        shown = (f"{count * 1e6 / total:.6f}" for count, total in zip(counts, sums, strict=True))
        yield "\t".join((gene, symbol, *shown)).encode() + b"\n"


def _page(title: str, rows: Sequence[tuple[str, ...]], heads: Sequence[str], note: str) -> bytes:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(title)}</title></head>\n'
        f"<body>\n<h1>{html.escape(title)}</h1>\n<p>{html.escape(note)}</p>\n"
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</body>\n</html>\n"
    ).encode()


def multiqc_report(samples: Sequence[str]) -> bytes:
    """A summary page per sample, as quality-control tools make one."""
    source = random.Random(458)
    rows = [
        (name, f"{source.uniform(82, 96):.1f}%", f"{source.uniform(44, 52):.0f}%", f"{source.uniform(0.02, 0.3):.2f}")
        for name in samples
    ]
    return _page(
        "MultiQC Report", rows, ("Sample", "Aligned", "GC", "M reads"), "Demonstration data, made by Packhorse."
    )


def pipeline_report(samples: Sequence[str]) -> bytes:
    """A page that lists the steps of a run."""
    steps = ("FASTQC", "TRIMGALORE", "STAR_ALIGN", "SALMON_QUANT", "MULTIQC")
    rows = [(step, name, "COMPLETED") for step in steps for name in samples]
    return _page("Pipeline report", rows, ("Process", "Sample", "Status"), "Demonstration data, made by Packhorse.")
