"""A small package with everything that makes joins go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from packhorse.server.immport.writing import write_package

LONG = "Größe = 100%_x\\y 'quoted' \"twice\""


def _rows(columns: str, *lines: tuple[Any, ...]) -> list[dict[str, Any]]:
    names = columns.split()
    return [dict(zip(names, line, strict=True)) for line in lines]


def awkward(to: Path) -> Path:
    """SDY31: a subject in two arms, a pooled sample, results that say little, texts that break naive writers."""
    tables = {
        "study": _rows(
            "study_accession brief_title clinical_trial condition_studied actual_enrollment gender_included doi "
            "latest_data_release_version official_title brief_description",
            ("SDY31", LONG, "Y", "influenza; HIV", 4, "Both", "10.1/x", "DR25", "Official <b>title</b>",
             "T-cell responses to influenza vaccine & more"),
        ),
        "arm_or_cohort": _rows(
            "arm_accession name study_accession type description",
            ("ARM1", "Placebo ÄRM", "SDY31", "Observational", None),
            ("ARM2", "Vaccine", "SDY31", "Interventional", "given"),
        ),
        "subject": _rows(
            "subject_accession gender race ethnicity species strain ancestral_population",
            ("SUB1", "Female", "White", "Not Hispanic or Latino", "Homo sapiens", None, "Iceland"),
            ("SUB2", "Male", "Asian", None, "Homo sapiens", None, None),
            ("SUB3", "Unknown", None, None, "Mus musculus", "BALB/c", None),
        ),
        "arm_2_subject": _rows(
            "arm_accession subject_accession age_event age_unit max_subject_age min_subject_age subject_phenotype",
            ("ARM1", "SUB1", "Age at enrollment", "Years", "30.50", "30.00", "healthy"),
            ("ARM2", "SUB1", "Age at Study Day 0", "Years", "31.00", "31.00", "vaccinated"),
            ("ARM2", "SUB2", None, None, None, None, None),
            ("ARM1", "SUB3", "Age at enrollment", "Months", "6", "6", None),
        ),
        "experiment": _rows(
            "experiment_accession measurement_technique name study_accession",
            ("EXP1", "ELISA", "one", "SDY31"),
            ("EXP2", "Flow Cytometry", "two", "SDY31"),
            ("EXP3", "Luminex xMAP", "beads", "SDY31"),
        ),
        "planned_visit": _rows(
            "planned_visit_accession name order_number min_start_day max_start_day study_accession",
            ("PV1", "Day 0", 1, "0", "0.5", "SDY31"),
            ("PV2", "Day 7", 2, "7", None, "SDY31"),
        ),
        "biosample": _rows(
            "biosample_accession subject_accession study_accession type subtype planned_visit_accession "
            "study_time_collected study_time_collected_unit study_time_t0_event study_time_t0_event_specify",
            ("BS1", "SUB1", "SDY31", "Serum", None, "PV1", "0.00", "Days", "Not Specified", None),
            ("BS2", "SUB2", "SDY31", "Whole blood", "heparin", "PV2", "7.00", "Days", "Other", "first\u2028dose"),
            ("BS3", "SUB3", "SDY31", "Cell", None, "PV2", "7.00", "Days", "Not Specified", None),
        ),
        "expsample": _rows(
            "expsample_accession experiment_accession result_schema name",
            ("ES1", "EXP1", "ELISA", "sample one"),
            ("ES2", "EXP1", "ELISA", "pool"),
            ("ES3", "EXP2", "FCM", None),
            ("ES4", "EXP3", "MBAA", None),
        ),
        "expsample_2_biosample": _rows(
            "biosample_accession expsample_accession", ("BS1", "ES1"), ("BS2", "ES2"), ("BS3", "ES2"), ("BS1", "ES3"),
            ("BS2", "ES4"),
        ),
        "treatment": _rows("treatment_accession name", ("TRT1", "heat"), ("TRT2", "cold"), ("TRT3", "lps")),
        "expsample_2_treatment": _rows("expsample_accession treatment_accession", ("ES1", "TRT2"), ("ES1", "TRT1")),
        "biosample_2_treatment": _rows("biosample_accession treatment_accession", ("BS1", "TRT3"), ("BS1", "TRT1")),
        "elisa_result": _rows(
            "result_id analyte_preferred analyte_reported arm_accession biosample_accession expsample_accession "
            "experiment_accession study_accession study_time_collected study_time_collected_unit subject_accession "
            "comments unit_reported value_preferred value_reported",
            (1003, "IL2", "IL-2", "ARM1", "BS1", "ES1", "EXP1", "SDY31", "0.00", "Days", "SUB1",
             'said "no" \\ back', "pg/ml", "1.00", "1.00"),
            (1001, "ANA148", "IL-2", "ARM2", "BS1", "ES1", "EXP1", "SDY31", "0.00", "Days", "SUB1",
             None, "pg/ml", "-1.0", "-1"),
            (1002, None, "IL-4", None, None, "ES1", "EXP1", "SDY31", None, None, None, "Ünï\u0001\u2028x", None,
             ".5", ".5"),
            (1004, None, "IL-4", None, "BS2", None, None, "SDY31", None, None, None, None, None, None, ">10"),
            (1005, "unheard of", "IL-4", None, None, "ES2", "EXP1", "SDY31", None, None, None, None, None, "1e3", "x"),
        ),
        "mbaa_result": _rows(
            "result_id analyte_reported arm_accession biosample_accession concentration_value_preferred "
            "experiment_accession mfi source_accession source_type study_accession subject_accession",
            (7, "TNF", "ARM2", "BS2", "3.25", "EXP3", "120", "ES4", "EXPSAMPLE", "SDY31", "SUB2"),
            (8, "TNF", None, None, None, "EXP3", "3", "CTL1", "CONTROL SAMPLE", "SDY31", None),
        ),
        "control_sample": _rows("control_sample_accession experiment_accession", ("CTL1", "EXP3")),
        "file_info": _rows(
            "file_info_id detail filesize_bytes name original_file_name",
            (501, "Flow cytometry result", 12, "a b.501.fcs", "a b.fcs"),
            (502, "ELISA result", 5, "plate.502.txt", "plate.txt"),
            (503, "MBAA result", 7, "beads.503.txt", "beads.txt"),
        ),
        "expsample_2_file_info": _rows(
            "expsample_accession file_info_id result_schema", ("ES3", 501, "FCM"), ("ES1", 502, "ELISA"),
            ("ES2", 502, "ELISA"),
        ),
        "control_sample_2_file_info": _rows(
            "control_sample_accession file_info_id result_schema", ("CTL1", 503, "MBAA")
        ),
        "lk_analyte": _rows(
            "analyte_accession gene_symbol immunology_symbol", ("ANA148", "IL2", "IL-2"), ("ANA9", "TNF", "TNF-a")
        ),
        "lk_gender": _rows("name description link", ("Female", "Gender is Female.", None), ("Male", "m", None)),
        "lk_time_unit": _rows("name description link", ("Days", "Unit of Days.", "http://x")),
        "lk_exposure_process": _rows("name description link", ("Administration", "Administration", None)),
        "study_categorization": _rows(
            "study_categorization_id research_focus study_accession", (1, "Vaccine Response", "SDY31")
        ),
        "study_personnel": _rows(
            "person_accession first_name last_name role_in_study study_accession",
            ("PSN1", "Ada", "Lovelace", "Principal Investigator", "SDY31"),
        ),
        "study_pubmed": _rows("study_accession pubmed_id title year", ("SDY31", "123", "A paper", "2019")),
        "study_link": _rows("study_link_id name study_accession value", (5, "here", "SDY31", "http://x")),
        "adverse_event": _rows(
            "adverse_event_accession study_accession subject_accession name_reported severity_preferred "
            "start_study_day",
            ("AE1", "SDY31", "SUB1", "Headache", "Mild", "2.0"),
        ),
        "intervention": _rows(
            "intervention_accession compound_role name_reported study_accession subject_accession",
            ("IM1", "Intervention", "TIV", "SDY31", "SUB1"),
        ),
        "lab_test_panel": _rows(
            "lab_test_panel_accession name_reported study_accession", ("LTP1", "Blood count", "SDY31")
        ),
        "lab_test": _rows(
            "lab_test_accession lab_test_panel_accession biosample_accession name_reported result_value_preferred",
            ("LT1", "LTP1", "BS2", "WBC", "4.50"),
        ),
        "assessment_panel": _rows(
            "assessment_panel_accession name_reported study_accession", ("AP1", "Questions", "SDY31")
        ),
        "assessment_component": _rows(
            "assessment_component_accession assessment_panel_accession name_reported subject_accession "
            "planned_visit_accession result_value_reported",
            ("AC1", "AP1", "Smoker?", "SUB1", "PV1", "no"),
        ),
        "immune_exposure": _rows(
            "exposure_accession arm_accession subject_accession exposure_process_preferred",
            ("IE1", "ARM2", "SUB1", "Administration"),
        ),
        "fcs_header": _rows(
            "fcs_header_id expsample_accession file_info_id fcs_file_name number_of_events",
            (1, "ES3", 501, "a b.fcs", 1000),
        ),
        "fcs_header_marker": _rows("fcs_header_id parameter_number pnn_reported", (1, 1, "FSC-A"), (1, 2, "SSC-A")),
        "reagent": _rows("reagent_accession name", ("ESR1", "anti-IL-2")),
        "program": _rows("program_id name category", (19, "HIPC", "NIH")),
        "contract_grant": _rows("contract_grant_id name program_id external_id", (4, "A grant", 19, "U19")),
        "contract_grant_2_study": _rows("contract_grant_id study_accession", (4, "SDY31")),
        "mass_spectrometry_result": _rows(
            "result_id expsample_accession experiment_accession study_accession intensity zcharge mzratio "
            "protein_name_reported",
            (61, "ES1", "EXP1", "SDY31", "12.50", "2", "500.25", "albumin"),
        ),
    }  # fmt: skip
    write_package(to, "SDY31", "DR25", tables)
    return to


def restricted(to: Path) -> Path:
    """SDY32, with a result that shares its number with one of SDY31."""
    tables = {
        "study": _rows("study_accession brief_title clinical_trial", ("SDY32", "Hidden", "N")),
        "arm_or_cohort": _rows("arm_accession name study_accession", ("ARM1", "Other arm", "SDY32")),
        "subject": _rows("subject_accession gender species", ("SUB1", "Male", "Homo sapiens")),
        "arm_2_subject": _rows("arm_accession subject_accession", ("ARM1", "SUB1")),
        "experiment": _rows("experiment_accession measurement_technique study_accession", ("EXP1", "ELISA", "SDY32")),
        "biosample": _rows(
            "biosample_accession subject_accession study_accession type", ("BS1", "SUB1", "SDY32", "Serum")
        ),
        "expsample": _rows("expsample_accession experiment_accession", ("ES1", "EXP1")),
        "expsample_2_biosample": _rows("biosample_accession expsample_accession", ("BS1", "ES1")),
        "elisa_result": _rows(
            "result_id analyte_reported arm_accession biosample_accession expsample_accession experiment_accession "
            "study_accession subject_accession value_reported",
            (1001, "IL-2", "ARM1", "BS1", "ES1", "EXP1", "SDY32", "SUB1", "9"),
        ),
    }
    write_package(to, "SDY32", "DR25", tables)
    return to
