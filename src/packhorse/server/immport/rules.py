"""What a package's rows have to obey: their keys, the form of accessions and numbers, the vocabularies (spec §2.8).

Keys and accessions are what joins rest on: a row that breaks them is bad. A term that its vocabulary does not have is
worth a warning only, for packages are released with such terms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from packhorse.wire.immport.release import TABLES

__all__ = ["KEYS", "VOCABULARIES", "form_of", "vocabulary_of"]

_KEYS: Final = """\
expsample_mbaa_detail: expsample_accession assay_group_id assay_id
expsample_public_repository: expsample_accession repository_accession
contract_grant_2_personnel: contract_grant_id personnel_id role_type
program_2_personnel: program_id personnel_id role_type
fcs_header_marker: fcs_header_id parameter_number
fcs_header_marker_2_reagent: fcs_header_id parameter_number reagent_accession
study_glossary: study_accession term
study_pubmed: study_accession pubmed_id
"""
_OPTIONAL: Final = ("assay_group_id", "assay_id", "role_type")


def _keys() -> dict[str, tuple[str, ...]]:
    known = {name: tuple(columns.split()) for name, _, columns in (line.partition(": ") for line in _KEYS.splitlines())}
    return {name: known.get(name, columns[: 2 if "_2_" in name else 1]) for name, columns in TABLES.items()}


KEYS: Final[Mapping[str, tuple[str, ...]]] = _keys()
"""What no two rows of a table have in common. Every column of a key has to be in the table's header."""

_IDS: Final = """
contract_grant_id fcs_analyzed_result_marker_id fcs_header_id file_info_id personnel_id program_id result_id
study_categorization_id study_link_id workspace_file_info_id workspace_id parameter_number
"""
_INTEGERS: Final = frozenset(_IDS.split())
_FOREIGN: Final = frozenset(("analyte_accession", "other_gene_accession", "repository_accession"))
"""Accessions of other people's making."""

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_STUDY: Final = re.compile(r"SDY[0-9]{1,12}", re.ASCII)
_ACCESSION: Final = re.compile(r"[A-Z]{1,10}[0-9]{1,18}", re.ASCII)


def form_of(table: str, column: str) -> tuple[re.Pattern[str] | None, bool, str]:
    """What a cell has to look like, whether it has to be there, and what it is in words.

    >>> form_of("elisa_result", "result_id")[1:]
    (True, 'a whole number')
    """
    needed = column in KEYS.get(table, ()) and column not in _OPTIONAL
    if column == "study_accession":
        return _STUDY, needed, "a study accession (SDY and digits)"
    if column in _INTEGERS:
        return _INTEGER, needed, "a whole number"
    if column.endswith("_accession") and column not in _FOREIGN:
        return _ACCESSION, needed, "an accession (capital letters and digits)"
    return None, needed, "a value"


_VOCABULARIES: Final = """\
lk_adverse_event_severity: adverse_event.severity_preferred
lk_age_event: arm_2_subject.age_event
lk_ancestral_population: subject.ancestral_population
lk_compound_role: intervention.compound_role
lk_criterion_category: inclusion_exclusion.criterion_category
lk_disease: immune_exposure.disease_preferred
lk_disease_stage: immune_exposure.disease_stage_preferred
lk_ethnicity: subject.ethnicity
lk_exp_measurement_tech: experiment.measurement_technique
lk_exposure_material: immune_exposure.exposure_material_preferred
lk_exposure_process: immune_exposure.exposure_process_preferred
lk_expsample_result_schema: expsample.result_schema
lk_file_detail: file_info.detail
lk_sex: subject.gender
lk_locus_name: hla_typing_result.locus_name
lk_personnel_role: study_personnel.role_in_study
lk_plate_type: expsample_mbaa_detail.plate_type
lk_protocol_type: protocol.type
lk_public_repository: expsample_public_repository.repository_name
lk_race: subject.race
lk_reagent_type: reagent.type
lk_research_focus: study_categorization.research_focus
lk_sample_type: biosample.type
lk_source_type: mbaa_result.source_type
lk_species: subject.species
lk_study_file_type: study_file.study_file_type
lk_study_panel: study_2_panel.panel_name
lk_t0_event: biosample.study_time_t0_event
lk_time_unit: arm_2_subject.age_unit biosample.study_time_collected_unit
lk_unit_of_measure: elisa_result.unit_preferred mbaa_result.concentration_unit_preferred
lk_virus_strain: hai_result.virus_strain_preferred neut_ab_titer_result.virus_strain_preferred
"""


def _columns() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for line in _VOCABULARIES.splitlines():
        name, _, columns = line.partition(":")
        for table, _, column in (word.partition(".") for word in columns.split()):
            found[table, column] = name
    return found


VOCABULARIES: Final[Mapping[tuple[str, str], str]] = _columns()
"""The vocabulary of a (table, column); ``lk_sex`` is ``lk_gender`` in older packages."""


def vocabulary_of(table: str, column: str) -> tuple[str, ...]:
    """The names under which a column's vocabulary may be found, the newest first; empty where it has none.

    >>> vocabulary_of("subject", "gender")
    ('lk_sex', 'lk_gender')
    """
    name = VOCABULARIES.get((table, column))
    return () if name is None else (name, "lk_gender") if name == "lk_sex" else (name,)
