"""The files that a study's tables name, and where they belong (spec immport §3.1).

Whether their bytes are there is another question: that is what :class:`~packhorse.server.db.models.StudyFile` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, select, union
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.db.immport import RELEASE, Study
from packhorse.wire.immport.paths import protocol_path, result_path, study_file_path

__all__ = ["NamedFile", "named_files"]


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that the tables name. ``size`` in bytes where they say it; ``accession`` is the row's own."""

    path: str
    kind: Literal["result", "study", "protocol"]
    accession: str
    size: int | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def named_files(session: Session, study: Study, *, only: bool) -> dict[str, NamedFile]:
    """The files of a study, by path. ``only``: the package has no other study, so that files without a link are its own
    too. Names that cannot be one are passed over: the import reported them."""
    accession, package = study.accession, study.package_id
    found: dict[str, NamedFile] = {}

    def add(kind: Literal["result", "study", "protocol"], key: str, size: int | None, *named: str | None) -> None:
        name = named[-1]
        if name is None:
            return
        try:
            if kind == "result":
                path = result_path(accession, named[0], name)
            else:
                path = (protocol_path if kind == "protocol" else study_file_path)(accession, name)
        except UsageError:
            return
        found.setdefault(path, NamedFile(path, kind, key, size))

    info = RELEASE["file_info"]
    mine = info.c.package_id == package
    wanted = mine if only else mine & info.c.file_info_id.in_(_linked(package, accession))
    rows = select(info.c.file_info_id, info.c.filesize_bytes, info.c.detail, info.c.name).where(wanted)
    for key, size, detail, name in session.execute(rows.order_by(info.c.line)):
        add("result", key, _number(size), detail, name)
    for table, key_column, column in (
        ("study_file", "study_file_accession", "file_name"),
        ("study_image", "schematic_accession", "image_filename"),
    ):
        each = RELEASE[table]
        of_study = (each.c.package_id == package) & (each.c.study_accession == accession)
        for key, name in session.execute(select(each.c[key_column], each.c[column]).where(of_study)):
            add("study", key, None, name)
    protocol = RELEASE["protocol"]
    those = (protocol.c.package_id == package) & protocol.c.protocol_accession.in_(_protocols(package, accession))
    for key, name in session.execute(select(protocol.c.protocol_accession, protocol.c.file_name).where(those)):
        add("protocol", key, None, name)
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def _linked(package: int, accession: str) -> Any:
    """The ids of the files that a study's samples, controls, curves, headers and assessments are linked with."""

    def through(link: str, owner: str, key: str) -> Select[Any]:
        a, b, experiment = RELEASE[link], RELEASE[owner], RELEASE["experiment"]
        return (
            select(a.c.file_info_id)
            .join(b, _same(a, b, key))
            .join(experiment, _same(b, experiment, "experiment_accession"))
            .where(a.c.package_id == package, experiment.c.study_accession == accession)
        )

    link, panel, gated = RELEASE["assessment_2_file_info"], RELEASE["assessment_panel"], RELEASE["fcs_analyzed_result"]
    return union(
        through("expsample_2_file_info", "expsample", "expsample_accession"),
        through("fcs_header", "expsample", "expsample_accession"),
        through("control_sample_2_file_info", "control_sample", "control_sample_accession"),
        through("standard_curve_2_file_info", "standard_curve", "standard_curve_accession"),
        select(link.c.file_info_id)
        .join(panel, _same(link, panel, "assessment_panel_accession"))
        .where(link.c.package_id == package, panel.c.study_accession == accession),
        select(gated.c.workspace_file_info_id).where(
            gated.c.package_id == package, gated.c.study_accession == accession
        ),
    )


def _protocols(package: int, accession: str) -> Any:
    a, b, experiment = RELEASE["study_2_protocol"], RELEASE["experiment_2_protocol"], RELEASE["experiment"]
    return union(
        select(a.c.protocol_accession).where(a.c.package_id == package, a.c.study_accession == accession),
        select(b.c.protocol_accession)
        .join(experiment, _same(b, experiment, "experiment_accession"))
        .where(b.c.package_id == package, experiment.c.study_accession == accession),
    )


def _same(a: Any, b: Any, column: str) -> ColumnElement[bool]:
    joined: ColumnElement[bool] = (a.c.package_id == b.c.package_id) & (a.c[column] == b.c[column])
    return joined
