"""An invented study's clinical records: assessments, lab tests, interventions, adverse events, exposures."""

from __future__ import annotations

from typing import Any

from packhorse.server.immport.synthetic.files import text_file
from packhorse.server.immport.synthetic.plan import StudyPlan, Tables

__all__ = ["add"]

_LAB: tuple[tuple[str, str, str], ...] = (
    ("Leukocytes", "10^3/ul", "6.{}"),
    ("Hemoglobin", "g/dl", "13.{}"),
    ("Glucose", "mg/dl", "9{}.0"),
)


def add(plan: StudyPlan, tables: Tables, samples: list[dict[str, Any]]) -> None:
    """The records of every subject."""
    study, workspace = plan.accession, plan.id(0)
    panel, lab = plan.key("AP", 1), plan.key("LTP", 1)
    tables.add("assessment_panel", assessment_panel_accession=panel, assessment_type="Physical Examination",
               name_preferred="Vital Signs", name_reported="Vitals", result_schema="LONG", status="complete",
               study_accession=study, workspace_id=workspace)  # fmt: skip
    tables.add("assessment_2_file_info", assessment_panel_accession=panel, file_info_id=plan.id(901),
               result_schema="ASSESSMENT")  # fmt: skip
    text_file(plan, tables, plan.id(901), "CRF Description", f"{study}_case_report_form")
    tables.add("lab_test_panel", lab_test_panel_accession=lab, name_preferred="Complete Blood Count",
               name_reported="CBC", study_accession=study, workspace_id=workspace)  # fmt: skip
    tables.add("lab_test_panel_2_protocol", lab_test_panel_accession=lab, protocol_accession=plan.key("PTL", 2))
    tables.add("reference_range", reference_range_accession=plan.key("RR", 1), age_range="18-65", category="Normal",
               gender="Both", lab_or_study_source="laboratory", lower_limit="4.0", study_accession=study,
               subject_condition="healthy", test_or_assessment_name="Leukocytes", unit_of_measure="10^3/ul",
               upper_limit="10.0", workspace_id=workspace)  # fmt: skip
    tables.add("subject_measure_definition", subject_measure_accession=plan.key("SM", 1), algorithm="arithmetic mean",
               description="Mean titer", measureofcentraltendency="Mean", measureofdispersion="Standard Deviation",
               measuretype="Primary", name="titer", outcometype="Immunogenicity", study_accession=study,
               timeframe="28 days", unitofmeasure="titer", workspace_id=workspace)  # fmt: skip
    for at, sample in enumerate(samples, 1):
        name, unit, value = _LAB[at % 3]
        shown = value.format(plan.random.randint(0, 9))
        tables.add("lab_test", lab_test_accession=plan.key("LT", at), lab_test_panel_accession=lab,
                   biosample_accession=sample["biosample_accession"], name_preferred=name, name_reported=name.lower(),
                   reference_range_accession=plan.key("RR", 1) if at % 3 == 0 else None, result_unit_preferred=unit,
                   result_unit_reported=unit, result_value_preferred=shown, result_value_reported=shown,
                   workspace_id=workspace)  # fmt: skip
    firsts = {sample["subject_accession"]: sample for sample in reversed(samples)}
    for at, subject in enumerate(sorted(firsts), 1):
        _subject(plan, tables, at, subject, firsts[subject])


def _subject(plan: StudyPlan, tables: Tables, at: int, subject: str, sample: dict[str, Any]) -> None:
    own: dict[str, Any] = {"subject_accession": subject, "study_accession": plan.accession, "workspace_id": plan.id(0)}
    pulse = str(plan.random.randint(55, 90))
    tables.add("assessment_component", assessment_component_accession=plan.key("AC", at),
               assessment_panel_accession=plan.key("AP", 1), is_clinically_significant="N", name_preferred="Pulse",
               name_reported="pulse", organ_or_body_system_preferred="heart", organ_or_body_system_reported="heart",
               planned_visit_accession=sample["planned_visit_accession"], result_unit_preferred="beats/min",
               result_unit_reported="bpm", result_value_preferred=pulse, result_value_reported=pulse, study_day="0",
               subject_accession=subject, subject_position_preferred="sitting", subject_position_reported="sitting",
               verbatim_question="Pulse after five minutes of rest", who_is_assessed="Subject",
               workspace_id=plan.id(0))  # fmt: skip
    tables.add("subject_measure_result", subject_measure_res_accession=plan.key("SMR", at), datavalue=pulse,
               study_day="0", subject_measure_accession=plan.key("SM", 1), year_of_measure="2015", **own)  # fmt: skip
    vaccine = {"name_preferred": "influenza vaccine", "name_reported": "flu shot", "dose": "0.50", "dose_units": "ml"}
    tables.add("intervention", intervention_accession=plan.key("SUM", at),
               compound_name_reported="demonstration vaccine",
               compound_role="Intervention" if at % 3 else "Concomitant Medication", dose_freq_per_interval="once",
               dose_reported="0.5 ml", duration="1", duration_unit="Days", end_day="0.00", formulation="solution",
               is_ongoing="N", reported_indication="prophylaxis", route_of_admin_preferred="intramuscular",
               route_of_admin_reported="IM", start_day="0.00", status="complete", **vaccine, **own)  # fmt: skip
    tables.add("immune_exposure", exposure_accession=plan.key("IM", at), arm_accession=sample["arm"],
               exposure_material_id="DEMO_0001", exposure_material_preferred="influenza vaccine",
               exposure_material_reported="flu vaccine", exposure_process_preferred="vaccination",
               exposure_process_reported="vaccination", subject_accession=subject)  # fmt: skip
    if at % 3 == 1:
        tables.add("adverse_event", adverse_event_accession=plan.key("AE", at), causality="Possible",
                   description="Sore arm for a day.", end_study_day="2.00", location_of_reaction_preferred="arm",
                   location_of_reaction_reported="left arm", name_preferred="Injection site pain",
                   name_reported="sore arm", organ_or_body_system_preferred="skin",
                   organ_or_body_system_reported="skin", outcome_preferred="Recovered", outcome_reported="resolved",
                   relation_to_study_treatment="Possibly Related", severity_preferred="Mild", severity_reported="mild",
                   start_study_day="1.00", study_treatment_action_taken="None", **own)  # fmt: skip
    if at == 2:
        tables.add("protocol_deviation", protocol_deviation_accession=plan.key("PD", at),
                   description="A visit was late.", is_adverse_event_related="N", reason_for_deviation="weather",
                   resolution_of_deviation="none needed",
                   study_end_day="30", study_start_day="29", subject_continued_study="Y", **own)  # fmt: skip
    if at == 3:
        tables.add("reported_early_termination", early_termination_accession=plan.key("ET", at),
                   is_adverse_event_related="N", is_subject_requested="Y", reason_preferred="Moved away",
                   reason_reported="moved", study_day_reported="20", **own)  # fmt: skip
