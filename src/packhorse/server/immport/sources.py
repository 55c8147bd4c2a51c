"""Where the rows of each result query are in a package's tables (spec immport §2.2), as SELECT statements.

Every source has the columns of :data:`KEYS`, ``result_id`` and ``line``, and those of the query's own members. A
column that our copy of the release's schema lacks is looked for among the extra ones of its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Subquery, Table, and_, case, func, literal, null, or_, select, union_all

from packhorse.server.db.immport import RELEASE, OtherRow
from packhorse.server.db.immport_views import Analyte, Kind, snake

__all__ = ["KEYS", "file_rows", "result_rows", "value"]

KEYS: Final = (
    "study_accession",
    "arm_accession",
    "subject_accession",
    "biosample_accession",
    "expsample_accession",
    "experiment_accession",
    "study_time_collected",
    "study_time_collected_unit",
    "ancestral_population",
    "source_accession",
    "source_type",
)
"""What a result row says of its context; equal keys are one context."""

_TABLES: Final[Mapping[str, str]] = {
    "elisa": "elisa_result",
    "elispot": "elispot_result",
    "fcsAnalyzed": "fcs_analyzed_result",
    "hai": "hai_result",
    "hlaTyping": "hla_typing_result",
    "kirTyping": "kir_typing_result",
    "mbaa": "mbaa_result",
    "neutAbTiter": "neut_ab_titer_result",
    "pcr": "pcr_result",
}
_OTHER: Final[Mapping[str, str]] = {"massSpectrometryResult": "mass_spectrometry_result"}
"""Tables that releases have since data release 26 or later: their rows are kept whole."""
_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "zcharge": ("z_charge", "zcharge"),
    "mzratio": ("m_z_ratio", "mz_ratio", "mzratio"),
    "population_defnition_preferred": ("population_defnition_preferred", "population_definition_preferred"),
    "population_defnition_reported": ("population_defnition_reported", "population_definition_reported"),
}
_PREFERRED: Final = ("analyte_preferred", "gene_symbol_preferred")

Expression = ColumnElement[Any]


def value(table: Table | type[OtherRow], *names: str) -> Expression:
    """The first of some columns that a row has a value in, in the table or among its extra columns."""
    found: list[Expression] = []
    for name in names:
        if isinstance(table, Table):
            found.append(table.c[name] if name in table.c else table.c.extra[name].as_string())
        else:
            found.append(table.record[name].as_string())
    return found[0] if len(found) == 1 else func.coalesce(*found)


def result_rows(kind: Kind, package_id: int) -> Subquery:
    """The rows of one assay's results."""
    table: Table | type[OtherRow]
    if kind.name in _TABLES:
        table = RELEASE[_TABLES[kind.name]]
        package, line, within = table.c.package_id, table.c.line, None
    else:
        table = OtherRow
        package, line, within = OtherRow.package_id, OtherRow.line, OtherRow.table_name == _OTHER[kind.name]  # type: ignore[assignment]
    keys = {name: value(table, name) for name in KEYS}
    if kind.name == "mbaa":
        # a bead array row names its source, which is a sample, a control or a standard curve
        keys["expsample_accession"] = func.coalesce(
            keys["expsample_accession"],
            case((func.upper(keys["source_type"]) == "EXPSAMPLE", keys["source_accession"])),
        )
    own = {snake(member): value(table, *_ELSEWHERE.get(snake(member), (snake(member),))) for member in kind.own}
    asked = select(value(table, "result_id").label("result_id"), line.label("line"))
    if "analyte_accession" in own:
        preferred = own[next(name for name in _PREFERRED if name in own)]
        own["analyte_accession"] = func.coalesce(own["analyte_accession"], Analyte.accession)
        asked = asked.outerjoin(Analyte, and_(Analyte.package_id == package_id, Analyte.preferred == preferred))
    asked = asked.add_columns(*(column.label(name) for name, column in {**keys, **own}.items()))
    asked = asked.where(package == package_id)
    if within is not None:
        asked = asked.where(within)
    return asked.subquery("r")


def file_rows(package_id: int) -> Subquery:
    """A row for every result file and sample, control sample or standard curve that it is linked with.

    A sample pooled from several biosamples has a row for each, and a subject in several arms of the study one for each
    arm.
    """
    parts = [
        _of_samples(package_id),
        _of_others(package_id, "control_sample", "CONTROL SAMPLE"),
        _of_others(package_id, "standard_curve", "STANDARD CURVE"),
    ]
    return union_all(*parts).subquery("r")


def _of_samples(package_id: int) -> Select[Any]:
    link, sample, experiment = RELEASE["expsample_2_file_info"], RELEASE["expsample"], RELEASE["experiment"]
    pool, biosample, member, arm = (
        RELEASE[name] for name in ("expsample_2_biosample", "biosample", "arm_2_subject", "arm_or_cohort")
    )
    arms = (
        select(member.c.subject_accession, member.c.arm_accession, arm.c.study_accession)
        .join(arm, and_(arm.c.package_id == package_id, arm.c.arm_accession == member.c.arm_accession))
        .where(member.c.package_id == package_id)
        .distinct()
        .subquery("arms")
    )
    joined = (
        link.join(RELEASE["file_info"], _same(package_id, RELEASE["file_info"], link, "file_info_id"))
        .outerjoin(sample, _same(package_id, sample, link, "expsample_accession"))
        .outerjoin(experiment, _same(package_id, experiment, sample, "experiment_accession"))
        .outerjoin(pool, _same(package_id, pool, link, "expsample_accession"))
        .outerjoin(biosample, _same(package_id, biosample, pool, "biosample_accession"))
        .outerjoin(
            arms,
            and_(
                arms.c.subject_accession == biosample.c.subject_accession,
                or_(
                    arms.c.study_accession == experiment.c.study_accession,
                    and_(
                        experiment.c.study_accession.is_(None),
                        arms.c.study_accession == biosample.c.study_accession,
                    ),
                ),
            ),
        )
    )
    keys: dict[str, Expression] = {
        "study_accession": func.coalesce(experiment.c.study_accession, biosample.c.study_accession),
        "arm_accession": arms.c.arm_accession,
        "subject_accession": biosample.c.subject_accession,
        "biosample_accession": pool.c.biosample_accession,
        "expsample_accession": link.c.expsample_accession,
        "experiment_accession": sample.c.experiment_accession,
        "study_time_collected": biosample.c.study_time_collected,
        "study_time_collected_unit": biosample.c.study_time_collected_unit,
        "source_accession": link.c.expsample_accession,
        "source_type": literal("EXPSAMPLE"),
    }
    return _file_select(keys, link).select_from(joined).where(link.c.package_id == package_id)


def _of_others(package_id: int, name: str, source_type: str) -> Select[Any]:
    link, source, experiment = RELEASE[f"{name}_2_file_info"], RELEASE[name], RELEASE["experiment"]
    joined = (
        link.join(RELEASE["file_info"], _same(package_id, RELEASE["file_info"], link, "file_info_id"))
        .outerjoin(source, _same(package_id, source, link, f"{name}_accession"))
        .outerjoin(experiment, _same(package_id, experiment, source, "experiment_accession"))
    )
    keys: dict[str, Expression] = {
        "study_accession": experiment.c.study_accession,
        "experiment_accession": source.c.experiment_accession,
        "source_accession": link.c[f"{name}_accession"],
        "source_type": literal(source_type),
    }
    return _file_select(keys, link).select_from(joined).where(link.c.package_id == package_id)


def _file_select(keys: Mapping[str, Expression], link: Table) -> Select[Any]:
    file = RELEASE["file_info"]
    return select(
        file.c.file_info_id.label("result_id"),
        link.c.line.label("line"),
        *(func.coalesce(keys[name], null()).label(name) if name in keys else _nothing(name) for name in KEYS),
        file.c.file_info_id.label("file_info_id"),
        file.c.detail.label("file_detail"),
        file.c.filesize_bytes.label("filesize_bytes"),
        file.c.name.label("file_name"),
        file.c.original_file_name.label("original_file_name"),
    ).distinct()


def _nothing(name: str) -> Expression:
    return func.nullif(literal(""), "").label(name)


def _same(package_id: int, one: Table, other: Table, column: str) -> ColumnElement[bool]:
    return and_(one.c.package_id == package_id, one.c[column] == other.c[column])
