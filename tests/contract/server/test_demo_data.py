"""The demo's files are what their names say, read by readers written here from the formats' descriptions."""

from __future__ import annotations

import gzip
import struct
from email.utils import parsedate_to_datetime

import pytest

from .conftest import Demo

FCS = {
    801: ("02054141.001.52628.fcs", 242_048),
    802: ("02054142.001.52644.fcs", 1_523_228),
    803: ("02054151.001.52646.fcs", 242_048),
}


@pytest.mark.parametrize("key", FCS)
def test_fcs(demo: Demo, key: int) -> None:
    name, size = FCS[key]
    answer = demo.get(f"/downloads/{key}/{name}")
    body = answer.content
    assert len(body) == size
    assert parsedate_to_datetime(answer.headers["Last-Modified"]).date().isoformat() == "2017-04-20"
    assert body[:10] == b"FCS3.1    "
    text_first, text_last, data_first, data_last = (int(body[at : at + 8]) for at in range(10, 42, 8))
    text = body[text_first : text_last + 1].decode("ascii")
    parts = text[1:-1].split(text[0])
    keywords = dict(zip(parts[::2], parts[1::2], strict=True))
    assert text[0] == text[-1]
    assert (int(keywords["$BEGINDATA"]), int(keywords["$ENDDATA"])) == (data_first, data_last)
    assert text_last < data_first <= data_last < size
    events, channels = int(keywords["$TOT"]), int(keywords["$PAR"])
    assert data_last - data_first + 1 == events * channels * 4
    assert keywords["$DATATYPE"] == "F"
    for number in range(1, channels + 1):
        assert {f"$P{number}{letter}" for letter in "BENR"} <= set(keywords)
    values = struct.unpack_from(f"<{events * channels}f", body, data_first)
    assert all(0 <= value < 1e9 for value in values)
    assert len(set(values)) > events


def test_the_three_differ(demo: Demo) -> None:
    assert len({demo.json(f"/data/{key}")["sha256"] for key in FCS}) == 3


@pytest.mark.parametrize("key", [789, 790, 791, 793])
def test_fastq(demo: Demo, key: int) -> None:
    record = demo.json(f"/data/{key}", "demo")
    lines = gzip.decompress(demo.get(record["download_url"], "demo").content).decode("ascii").split("\n")
    assert lines.pop() == ""
    assert len(lines) % 4 == 0
    for head, bases, plus, qualities in zip(*[iter(lines)] * 4, strict=True):
        assert head[0] == "@"
        assert plus == "+"
        assert len(bases) == len(qualities) == 150
        assert set(bases) <= set("ACGT")
        assert all("!" <= letter <= "J" for letter in qualities)


def test_mates_have_equal_names(demo: Demo) -> None:
    def names(key: int) -> list[bytes]:
        record = demo.json(f"/data/{key}", "demo")
        lines = gzip.decompress(demo.get(record["download_url"], "demo").content).splitlines()
        return [line.split(b" ")[0] for line in lines[::4]]

    assert names(789) == names(790)


def test_tables(demo: Demo) -> None:
    counts = demo.get("/executions/456/results/counts/all.gene_counts.tsv", "demo").text.splitlines()
    tpm = demo.get("/executions/456/results/salmon/salmon.merged.gene_tpm.tsv", "demo").text.splitlines()
    assert {len(line.split("\t")) for line in counts + tpm} == {4}
    assert sum(float(line.split("\t")[2]) for line in tpm[1:]) == pytest.approx(1e6, rel=1e-4)
    assert demo.get("/executions/456/multiqc_report.html", "demo").text.startswith("<!DOCTYPE html>")
