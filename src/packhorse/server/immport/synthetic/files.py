"""An invented study's result files."""

from __future__ import annotations

from typing import Final

from packhorse.server.immport.synthetic.plan import StudyPlan, Tables

__all__ = ["add_files", "text_bytes", "text_file"]

_CHANNELS: Final = ("FSC-A", "SSC-A", "FITC-A", "PE-A")
_MARKERS: Final = ("", "", "CD3", "CD19")


def text_bytes(name: str) -> bytes:
    """The content of the text file of this name."""
    return f"{name}: invented for demonstration.\nwell\tvalue\nA1\t1.0\n".encode()


def text_file(plan: StudyPlan, tables: Tables, key: int, detail: str, stem: str) -> None:
    """A text file with the content that :func:`text_bytes` gives for its name."""
    name = f"{stem}.{key}.txt"
    tables.add("file_info", file_info_id=key, detail=detail, filesize_bytes=len(text_bytes(name)), name=name,
               original_file_name=f"{stem}.txt", workspace_id=plan.id(0))  # fmt: skip


def add_files(plan: StudyPlan, tables: Tables, expsamples: list[str]) -> None:
    """Result files, each of an experiment's sample; those of flow cytometry have a header too."""
    for at, (key, detail, name, size) in enumerate(plan.result_files):
        expsample = expsamples[at % len(expsamples)]
        if "fcs_analyzed" in plan.kinds and detail.startswith("Flow"):
            per = len(expsamples) // len(plan.kinds)
            expsample = expsamples[plan.kinds.index("fcs_analyzed") * per + at % per]
        original = name.replace(f".{key}.", ".")
        tables.add("file_info", file_info_id=key, detail=detail, filesize_bytes=size, name=name,
                   original_file_name=original, workspace_id=plan.id(0))  # fmt: skip
        flow = name.endswith(".fcs")
        tables.add("expsample_2_file_info", expsample_accession=expsample, file_info_id=key,
                   result_schema="FCM" if flow else "ELISA")  # fmt: skip
        if not flow:
            continue
        header = plan.id(1) + at
        tables.add("fcs_header", fcs_header_id=header, compensation_flag="N", expsample_accession=expsample,
                   fcs_file_name=original, fcs_header_text="$PAR 4", fcs_version="3.1", file_info_id=key,
                   maximum_intensity=262144, minimum_intensity=0, number_of_events=1000,
                   number_of_markers=len(_CHANNELS), panel_preferred=None,
                   panel_reported="|".join(_CHANNELS))  # fmt: skip
        for number, (channel, marker) in enumerate(zip(_CHANNELS, _MARKERS, strict=True), 1):
            tables.add("fcs_header_marker", fcs_header_id=header, parameter_number=number, pnn_preferred=channel,
                       pnn_reported=channel, pns_preferred=marker, pns_reported=marker)  # fmt: skip
            if marker:
                tables.add("fcs_header_marker_2_reagent", fcs_header_id=header, parameter_number=number,
                           reagent_accession=plan.key("ESR", 1))  # fmt: skip
