"""A small package for upload, written out by hand as a data provider would: templates, a protocol, an FCS file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

HELP = "Please do not delete or edit this column"


def template(name: str, columns: list[str], *rows: list[str], version: str = "3.36") -> str:
    """A text template with these rows."""
    lines = [f"{name}\tSchema Version {version}", HELP, "\t".join(["Column Name", *columns])]
    return "\n".join([*lines, *("\t".join(["", *row]) for row in rows)]) + "\n"


PROTOCOLS = template(
    "protocols",
    ["User Defined ID", "File Name", "Name", "Description", "Type"],
    ["flow protocol", "flow_protocol.txt", "Flow staining", "How cells were stained", "Assay"],
)
STUDY = f"""basic_study_design\tSchema Version 3.36
{HELP}

study
User Defined ID\tmouse study
Brief Title\tA small study
Official Title\tA small study of a few mice
Brief Description\tCells were stained
Description\tCells were stained and counted
Endpoints\tCounts
Sponsoring Organization\tOurs
Age Unit\tWeeks
Actual Start Date\t05-Mar-2019
Intervention Agent\tvaccine

study_categorization
Research Focus\tVaccine Response

study_2_condition_or_disease
Condition Reported\tinfluenza

arm_or_cohort
Column Name\tUser Defined ID\tName\tDescription\tType Reported
\tarm 1\tControl\tNo vaccine\tObservational

planned_visit
Column Name\tUser Defined ID\tName\tOrder Number\tMin Start Day
\tvisit 0\tDay 0\t1\t0
\tvisit 7\tDay 7\t2\t7

study_2_protocol
Protocol ID\tflow protocol
"""
SUBJECTS = template(
    "subjectAnimals",
    ["Subject ID", "Arm Or Cohort ID", "Gender", "Min Subject Age", "Max Subject Age", "Age Unit", "Age Event",
     "Subject Location", "Species", "Strain", "Result Separator Column", "Exposure Process Reported"],
    ["mouse 1", "arm 1", "Female", "8", "9", "Weeks", "Age at enrollment", "Europe", "Mus musculus", "BALB/c", "",
     "vaccination"],
    ["mouse 2", "arm 1", "Male", "8", "", "Weeks", "Age at enrollment", "Europe", "Mus musculus", "BALB/c", "", ""],
)  # fmt: skip
SAMPLE_COLUMNS = [
    "User Defined ID", "Type", "Subtype", "Name", "Description", "Subject ID", "Study ID", "Planned Visit ID",
    "Treatment ID(s)", "Study Time Collected", "Study Time Collected Unit", "Study Time T0 Event",
    "Study Time T0 Event Specify",
]  # fmt: skip


def sample(name: str, subject: str = "mouse 1", **more: str) -> list[str]:
    """A row of ``bioSamples``; ``more`` by column names with ``_`` for blanks."""
    values = {
        "User Defined ID": name, "Type": "Whole blood", "Subject ID": subject, "Study ID": "mouse study",
        "Planned Visit ID": "visit 0", "Study Time Collected": "0", "Study Time Collected Unit": "Days",
        "Study Time T0 Event": "Time of enrollment",
    }  # fmt: skip
    values |= {key.replace("_", " "): value for key, value in more.items()}
    return [values.get(column, "") for column in SAMPLE_COLUMNS]


SAMPLES = template("bioSamples", SAMPLE_COLUMNS, sample("blood 1"), sample("blood 2", "mouse 2"))
FLOW = template(
    "experimentSamples.Flow_Cytometry",
    ["Study ID", "Expsample ID", "Expsample Name", ".Fcs Result File", "Biosample ID", "Subject ID", "Planned Visit ID",
     "Type", "Study Time Collected", "Study Time Collected Unit", "Study Time T0 Event", "Experiment ID",
     "Protocol ID(s)", "Experiment Name", "Measurement Technique"],
    ["mouse study", "tube 1", "Tube 1", "tube_1.fcs", "blood 1", "", "", "", "", "", "", "flow", "flow protocol",
     "Flow of blood", "Flow Cytometry"],
    ["mouse study", "tube 2", "Tube 2", "tube_1.fcs", "blood 3", "mouse 2", "visit 7", "Whole blood", "7", "Days",
     "Time of enrollment", "flow", "", "", ""],
)  # fmt: skip
FILES: Mapping[str, bytes] = {
    "protocols.txt": PROTOCOLS.encode(),
    "basic_study_design.txt": STUDY.encode(),
    "subjectAnimals.txt": SUBJECTS.encode(),
    "bioSamples.txt": SAMPLES.encode(),
    "experimentSamples.Flow_Cytometry.txt": FLOW.encode(),
    "flow_protocol.txt": b"Stain, wash, count.\n",
    "tube_1.fcs": b"FCS3.0" + bytes(range(256)) * 20,
}


def zipped(files: Mapping[str, bytes] = FILES, folder: str = "") -> bytes:
    """The files as a ZIP."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return held.getvalue()


def with_files(**changed: str | bytes | None) -> dict[str, bytes]:
    """The package with other contents, by names with ``_txt`` for ``.txt``; ``None`` leaves a file out."""
    files = dict(FILES)
    for key, content in changed.items():
        name = {name.replace(".", "_"): name for name in FILES}.get(key, key.replace("_txt", ".txt"))
        if content is None:
            del files[name]
        else:
            files[name] = content.encode() if isinstance(content, str) else content
    return files
