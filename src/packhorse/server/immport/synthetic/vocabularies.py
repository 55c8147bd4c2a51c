"""The 45 controlled vocabularies, with a handful of plain terms each: the demo's own, not ImmPort's lists."""

from __future__ import annotations

from typing import Any, Final

from packhorse.server.immport.writing import LOOKUP_COLUMNS

__all__ = ["vocabularies"]

_TERMS: Final = """\
lk_adverse_event_severity: Mild|Moderate|Severe|Not Specified
lk_age_event: Age at enrollment|Age at Study Day 0|Not Specified|Other
lk_ancestral_population: European|East Asian|West African|Not Specified
lk_cell_population: B cells|T cells|NK cells|monocytes|lymphocytes
lk_cell_population_marker: CD3+|CD4+|CD8+|CD19+|CD56+
lk_compound_role: Intervention|Concomitant Medication|Substance Use
lk_criterion_category: Inclusion|Exclusion
lk_disease: influenza|varicella|atopic dermatitis|measles
lk_disease_stage: Acute|Chronic|Post|Not Specified
lk_ethnicity: Hispanic or Latino|Not Hispanic or Latino|Not Specified|Other
lk_exp_measurement_tech: ELISA|ELISPOT|Flow Cytometry|Hemagglutination Inhibition|HLA Typing|KIR Typing
  Luminex xMAP|Mass Spectrometry|Q-PCR|Virus Neutralization|RNA sequencing
lk_exposure_material: influenza vaccine|varicella vaccine|pollen
lk_exposure_process: vaccination|infectious challenge|no exposure
lk_file_detail: Flow cytometry result|Flow cytometry compensation or control|ELISA result
  ELISPOT result|MBAA result|Q-PCR result|RNA sequencing result|CRF Description
lk_sex: Female|Male|Not Specified|Other|Unknown
lk_lab_test_panel_name: Complete Blood Count|Metabolic Panel
lk_locus_name: A|B|C|DRB1|DQB1
lk_mass_spectrometry_type: Proteomics|Metabolomics
lk_personnel_role: Principal Investigator|Co-Investigator|Other
lk_plate_type: 96-well
lk_protocol_type: Assay|Study|Not Specified
lk_public_repository: GEO|SRA|PRIDE|FlowRepository
lk_race: Asian|Black or African American|White|Other|Not Specified
lk_reagent_type: Antibody|Bead Array|PCR Assay|Not Specified
lk_research_focus: Vaccine Response|Infection Response|Allergy
lk_sample_type: PBMC|Serum|Whole blood|Cell|Other
lk_source_type: EXPSAMPLE|CONTROL SAMPLE|STANDARD CURVE
lk_study_file_type: Data Dictionary|Study Summary Description|Case Report Form
lk_subject_location: Europe|North America|South America
lk_t0_event: Time of enrollment|Time of initial vaccine administration|Not Specified|Other
lk_time_unit: Years|Months|Weeks|Days|Hours|Not Specified
lk_transcript_type: mRNA|miRNA
"""

_ROWS: Final = """\
lk_analyte: PRO1 IL2 -|IL-2;PRO2 IFNG -|IFN-gamma;PRO3 TNF -|TNF-alpha
lk_data_completeness: 1 Raw and processed data are there;2 Only processed data are there
lk_expsample_result_schema: ELISA elisa_result;ELISPOT elispot_result;FCM fcs_analyzed_result;HAI hai_result
  HLA hla_typing_result;KIR kir_typing_result;MBAA mbaa_result;PCR pcr_result
  VIRUS_NEUTRALIZATION neut_ab_titer_result;MASS_SPECTROMETRY mass_spectrometry_result
lk_hmdb: HMDB-demo-1 glucose;HMDB-demo-2 lactate
lk_lab_test_name: Leukocytes WBC;Hemoglobin HGB;Glucose GLUC
lk_organization: Institute of Demonstration;University of Examples
lk_protein_name: albumin;transferrin
lk_species: Homo_sapiens human 9606;Mus_musculus mouse 10090
lk_study_panel: study_design 1;demographics 2;adverse_events 3
lk_unit_of_measure: ng/ml concentration;pg/ml concentration;titer titer;% ratio;10^3/ul count
lk_user_role_type: Owner;Reader
lk_virus_strain: A/Demo/1/2017 H1N1;A/Demo/2/2017 H3N2;VZV/Demo/2017 VZV
lk_visibility_category: Public;Restricted
"""
"""Those with columns of their own: a record per ``;``, its first words by :data:`_SPECIAL`."""

_SPECIAL: Final = {
    "lk_analyte": ("analyte_accession", "gene_symbol", "gene_aliases"),
    "lk_data_completeness": ("id", "description"),
    "lk_expsample_result_schema": ("name", "table_name"),
    "lk_hmdb": ("hmdb_id", "name"),
    "lk_lab_test_name": ("name", "cdisc_lab_test_code"),
    "lk_organization": ("name",),
    "lk_protein_name": ("name",),
    "lk_species": ("name", "common_name", "taxonomy_id"),
    "lk_study_panel": ("name", "sort_order"),
    "lk_unit_of_measure": ("name", "type"),
    "lk_user_role_type": ("name",),
    "lk_virus_strain": ("name", "virus_name"),
    "lk_visibility_category": ("name",),
}


def vocabularies() -> dict[str, list[dict[str, Any]]]:
    """The rows of all 45, by the package's name for them.

    >>> [row["name"] for row in vocabularies()["lk_species"]]
    ['Homo sapiens', 'Mus musculus']
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for line in _TERMS.replace("\n  ", "|").splitlines():
        name, _, terms = line.partition(": ")
        found[name] = [{"name": term, "description": f"{term}, as the demo uses it."} for term in terms.split("|")]
    for line in _ROWS.replace("\n  ", ";").splitlines():
        name, _, records = line.partition(": ")
        found[name] = [_record(name, record) for record in records.split(";")]
    return {name: found[name] for name in LOOKUP_COLUMNS}


def _record(name: str, text: str) -> dict[str, Any]:
    columns = _SPECIAL[name]
    if len(columns) == 1:
        return {columns[0]: text}
    words = text.split(" ", len(columns) - 1)
    row: dict[str, Any] = dict(zip(columns, words, strict=True))
    if name == "lk_species":
        row["name"] = words[0].replace("_", " ")
    if name == "lk_analyte":
        row["gene_aliases"] = words[2].replace("-|", "")
        row["immunology_symbol"] = words[1]
        row["taxonomy_id"] = "9606"
    if name == "lk_study_panel":
        row |= {"display_name": words[0].replace("_", " ").capitalize(), "collapsible": "Y", "visible": "Y"}
    if name == "lk_virus_strain":
        row["taxonomy_id"] = "0"
    return row
