"""Flow's vocabularies: organisms, sample types, metadata attributes, data types. Fixed in this release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packhorse.wire.flow_records import filetype_of

__all__ = ["ATTRIBUTES", "DATA_TYPES", "ORGANISMS", "SAMPLE_TYPES", "AttributeType", "data_type_of", "is_binary_name"]

ORGANISMS: Final[Mapping[str, tuple[str, str]]] = {
    "Hs": ("Human", "Homo sapiens"),
    "Mm": ("Mouse", "Mus musculus"),
    "Rn": ("Rat", "Rattus norvegicus"),
    "Dr": ("Zebrafish", "Danio rerio"),
    "Dm": ("Fruit fly", "Drosophila melanogaster"),
    "Ce": ("Roundworm", "Caenorhabditis elegans"),
    "Sc": ("Baker's yeast", "Saccharomyces cerevisiae"),
    "At": ("Thale cress", "Arabidopsis thaliana"),
    "Ec": ("E. coli", "Escherichia coli"),
}
"""Id to (name, latin name)."""

SAMPLE_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "generic": ("Generic", "Files of any kind that belong together"),
    "RNA-Seq": ("RNA-Seq", "Bulk RNA sequencing"),
    "scRNA-Seq": ("scRNA-Seq", "Single-cell RNA sequencing"),
    "CLIP": ("CLIP", "Cross-linking and immunoprecipitation"),
    "ChIP-Seq": ("ChIP-Seq", "Chromatin immunoprecipitation sequencing"),
    "ATAC-Seq": ("ATAC-Seq", "Open chromatin sequencing"),
    "flow-cytometry": ("Flow cytometry", "Single-cell measurements in FCS files"),
}
"""Identifier to (name, description)."""


@dataclass(frozen=True, slots=True)
class AttributeType:
    """A metadata attribute. ``types`` are the sample types it is for (empty: all of them)."""

    name: str
    description: str
    options: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    required_for: tuple[str, ...] = ()
    in_table: bool = False


ATTRIBUTES: Final[Mapping[str, AttributeType]] = {
    "source": AttributeType("Cell or tissue", "What the sample was taken from", in_table=True),
    "condition": AttributeType("Condition", "Treatment, genotype or state", in_table=True),
    "replicate": AttributeType("Replicate", "Number of the biological replicate"),
    "strandedness": AttributeType(
        "Strandedness",
        "How the library keeps the strand",
        options=("unstranded", "forward", "reverse", "auto"),
        types=("RNA-Seq",),
        required_for=("RNA-Seq",),
    ),
    "rna_selection_method": AttributeType(
        "RNA selection", "How RNA was enriched", options=("polya", "ribominus", "total"), types=("RNA-Seq", "scRNA-Seq")
    ),
    "purification_target": AttributeType("Target", "The protein that was purified", types=("CLIP", "ChIP-Seq")),
    "sequencer": AttributeType("Sequencer", "The instrument"),
    "scientist": AttributeType("Scientist", "Who made the sample"),
    "organisation": AttributeType("Organisation", "Where it was made"),
    "comments": AttributeType("Comments", "Anything else"),
}
"""Identifier to attribute."""

DATA_TYPES: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "fastq": ("FASTQ", "Sequencing reads", ("fastq.gz", "fq.gz", "fastq", "fq")),
    "fasta": ("FASTA", "Sequences", ("fasta", "fa", "fasta.gz", "fa.gz")),
    "bam": ("BAM", "Aligned reads", ("bam",)),
    "bed": ("BED", "Intervals", ("bed", "bed.gz")),
    "gtf": ("GTF", "Annotation", ("gtf", "gff", "gff3", "gtf.gz", "gff.gz")),
    "vcf": ("VCF", "Variants", ("vcf", "vcf.gz")),
    "fcs": ("FCS", "Flow cytometry events", ("fcs",)),
    "table": ("Table", "Rows and columns", ("tsv", "csv", "txt", "xlsx")),
    "report": ("Report", "A web page with results", ("html", "htm", "pdf")),
}
"""Identifier to (name, description, file types)."""

_BY_FILETYPE: Final = {filetype: key for key, (_, _, types) in DATA_TYPES.items() for filetype in types}
_TEXT: Final = frozenset(
    {"html", "htm", "txt", "tsv", "csv", "json", "log", "md", "fastq", "fq", "fasta", "fa", "bed", "gtf", "gff", "gff3"}
    | {"vcf", "sam", "xml", "yaml", "yml", "svg"}
)


def data_type_of(filename: str) -> str | None:
    """The data type that a file's name says."""
    return _BY_FILETYPE.get(filetype_of(filename))


def is_binary_name(filename: str) -> bool:
    """Whether a file of this name is not text, as far as the name says."""
    return filetype_of(filename) not in _TEXT
