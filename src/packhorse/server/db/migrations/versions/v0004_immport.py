"""Imported ImmPort packages and studies."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES: Final = """\
adverse_event: adverse_event_accession causality description end_study_day end_time location_of_reaction_preferred
  location_of_reaction_reported name_preferred name_reported organ_or_body_system_preferred
  organ_or_body_system_reported other_action_taken outcome_preferred outcome_reported relation_to_nonstudy_treatment
  relation_to_study_treatment severity_preferred severity_reported start_study_day start_time study_accession
  study_treatment_action_taken subject_accession workspace_id
arm_2_subject: arm_accession subject_accession age_event age_event_specify age_unit max_subject_age min_subject_age
  subject_phenotype
arm_or_cohort: arm_accession description name study_accession type workspace_id
assessment_2_file_info: assessment_panel_accession file_info_id result_schema
assessment_component: assessment_component_accession age_at_onset_preferred age_at_onset_reported
  age_at_onset_unit_preferred age_at_onset_unit_reported assessment_panel_accession is_clinically_significant
  location_of_finding_preferred location_of_finding_reported name_preferred name_reported
  organ_or_body_system_preferred organ_or_body_system_reported planned_visit_accession reference_range_accession
  result_unit_preferred result_unit_reported result_value_category result_value_preferred result_value_reported
  study_day subject_accession subject_position_preferred subject_position_reported time_of_day verbatim_question
  who_is_assessed workspace_id
assessment_panel: assessment_panel_accession assessment_type name_preferred name_reported result_schema status
  study_accession workspace_id
biosample: biosample_accession description name planned_visit_accession study_accession study_time_collected
  study_time_collected_unit study_time_t0_event study_time_t0_event_specify subject_accession subtype type
  workspace_id
biosample_2_treatment: biosample_accession treatment_accession
contract_grant: contract_grant_id category description end_date external_id link name program_id start_date
contract_grant_2_personnel: contract_grant_id personnel_id role_type
contract_grant_2_study: contract_grant_id study_accession
control_sample: control_sample_accession assay_group_id assay_id catalog_id dilution_factor experiment_accession
  lot_number result_schema source upload_result_status workspace_id
control_sample_2_file_info: control_sample_accession file_info_id result_schema
elisa_result: result_id analyte_preferred analyte_reported arm_accession biosample_accession comments
  experiment_accession expsample_accession repository_accession repository_name study_accession study_time_collected
  study_time_collected_unit subject_accession unit_preferred unit_reported value_preferred value_reported
  workspace_id
elispot_result: result_id analyte_preferred analyte_reported arm_accession biosample_accession cell_number_preferred
  cell_number_reported comments experiment_accession expsample_accession repository_accession repository_name
  spot_number_preferred spot_number_reported study_accession study_time_collected study_time_collected_unit
  subject_accession workspace_id
experiment: experiment_accession description measurement_technique name study_accession workspace_id
experiment_2_protocol: experiment_accession protocol_accession
expsample: expsample_accession description experiment_accession name result_schema upload_result_status workspace_id
expsample_2_biosample: biosample_accession expsample_accession
expsample_2_file_info: expsample_accession file_info_id result_schema
expsample_2_reagent: expsample_accession reagent_accession
expsample_2_treatment: expsample_accession treatment_accession
expsample_mbaa_detail: expsample_accession assay_group_id assay_id dilution_factor plate_type
expsample_public_repository: expsample_accession repository_accession repository_name
fcs_analyzed_result: result_id arm_accession biosample_accession comments experiment_accession expsample_accession
  parent_population_preferred parent_population_reported population_defnition_preferred
  population_defnition_reported population_name_preferred population_name_reported population_stat_unit_preferred
  population_stat_unit_reported population_statistic_preferred population_statistic_reported repository_accession
  repository_name study_accession study_time_collected study_time_collected_unit subject_accession
  workspace_file_info_id workspace_id
fcs_analyzed_result_marker: fcs_analyzed_result_marker_id population_marker_preferred population_marker_reported
  result_id
fcs_header: fcs_header_id compensation_flag expsample_accession fcs_file_name fcs_header_text fcs_version
  file_info_id maximum_intensity minimum_intensity number_of_events number_of_markers panel_preferred panel_reported
fcs_header_marker: fcs_header_id parameter_number pnn_preferred pnn_reported pns_preferred pns_reported
fcs_header_marker_2_reagent: fcs_header_id parameter_number reagent_accession
file_info: file_info_id detail filesize_bytes name original_file_name workspace_id
hai_result: result_id arm_accession biosample_accession comments experiment_accession expsample_accession
  repository_accession repository_name study_accession study_time_collected study_time_collected_unit
  subject_accession unit_preferred unit_reported value_preferred value_reported virus_strain_preferred
  virus_strain_reported workspace_id
hla_typing_result: result_id allele_1 allele_2 ancestral_population arm_accession biosample_accession comments
  experiment_accession expsample_accession locus_name repository_accession repository_name result_set_id
  study_accession study_time_collected study_time_collected_unit subject_accession workspace_id
immune_exposure: exposure_accession arm_accession disease_ontology_id disease_preferred disease_reported
  disease_stage_preferred disease_stage_reported exposure_material_id exposure_material_preferred
  exposure_material_reported exposure_process_preferred exposure_process_reported subject_accession
inclusion_exclusion: criterion_accession criterion criterion_category study_accession workspace_id
intervention: intervention_accession compound_name_reported compound_role dose dose_freq_per_interval dose_reported
  dose_units duration duration_unit end_day end_time formulation is_ongoing name_preferred name_reported
  reported_indication route_of_admin_preferred route_of_admin_reported start_day start_time status study_accession
  subject_accession workspace_id
kir_typing_result: result_id allele_1 allele_2 arm_accession biosample_accession comments experiment_accession
  expsample_accession kir_haplotype repository_accession repository_name study_accession study_time_collected
  study_time_collected_unit subject_accession workspace_id
lab_test: lab_test_accession lab_test_panel_accession biosample_accession name_preferred name_reported
  reference_range_accession result_unit_preferred result_unit_reported result_value_preferred result_value_reported
  workspace_id
lab_test_panel: lab_test_panel_accession name_preferred name_reported study_accession workspace_id
lab_test_panel_2_protocol: lab_test_panel_accession protocol_accession
mbaa_result: result_id analyte_preferred analyte_reported arm_accession assay_group_id assay_id biosample_accession
  comments concentration_unit_reported concentration_unit_preferred concentration_value_reported
  concentration_value_preferred experiment_accession mfi mfi_coordinate repository_accession repository_name
  source_accession source_type study_accession study_time_collected study_time_collected_unit subject_accession
  workspace_id
neut_ab_titer_result: result_id arm_accession biosample_accession comments experiment_accession expsample_accession
  repository_accession repository_name study_accession study_time_collected study_time_collected_unit
  subject_accession unit_preferred unit_reported value_preferred value_reported virus_strain_preferred
  virus_strain_reported workspace_id
pcr_result: result_id arm_accession biosample_accession comments experiment_accession expsample_accession gene_id
  gene_name gene_symbol_preferred gene_symbol_reported other_gene_accession repository_accession repository_name
  study_accession study_time_collected study_time_collected_unit subject_accession unit_preferred unit_reported
  value_preferred value_reported workspace_id
period: period_accession name order_number study_accession workspace_id
personnel: personnel_id email first_name last_name organization
planned_visit: planned_visit_accession end_rule max_start_day min_start_day name order_number period_accession
  start_rule study_accession workspace_id
planned_visit_2_arm: planned_visit_accession arm_accession
program: program_id category description end_date link name start_date
program_2_personnel: program_id personnel_id role_type
protocol: protocol_accession description file_name name original_file_name type workspace_id
protocol_deviation: protocol_deviation_accession description is_adverse_event_related reason_for_deviation
  resolution_of_deviation study_accession study_end_day study_start_day subject_accession subject_continued_study
  workspace_id
reagent: reagent_accession analyte_preferred analyte_reported antibody_registry_id catalog_number clone_name contact
  description is_set lot_number manufacturer name reporter_name type weblink workspace_id
reagent_set_2_reagent: reagent_set_accession reagent_accession workspace_id
reference_range: reference_range_accession age_range category gender lab_or_study_source lower_limit study_accession
  subject_condition test_or_assessment_name unit_of_measure upper_limit workspace_id
reported_early_termination: early_termination_accession is_adverse_event_related is_subject_requested
  reason_preferred reason_reported study_accession study_day_reported subject_accession workspace_id
rna_seq_result: result_id arm_accession biosample_accession comments experiment_accession expsample_accession
  reference_repository_name reference_transcript_id repository_accession repository_name result_unit_preferred
  result_unit_reported study_accession study_time_collected study_time_collected_unit subject_accession
  transcript_type_preferred transcript_type_reported value_preferred value_reported workspace_id
standard_curve: standard_curve_accession analyte_preferred analyte_reported assay_group_id assay_id
  experiment_accession formula lower_limit lower_limit_unit result_schema upload_result_status upper_limit
  upper_limit_unit workspace_id
standard_curve_2_file_info: standard_curve_accession file_info_id result_schema
study: study_accession actual_completion_date actual_enrollment actual_start_date age_unit brief_description
  brief_title clinical_trial condition_studied dcl_id description doi endpoints gender_included hypothesis
  initial_data_release_date initial_data_release_version intervention_agent latest_data_release_date
  latest_data_release_version maximum_age minimum_age objectives official_title sponsoring_organization
  target_enrollment type workspace_id
study_2_panel: study_accession panel_name
study_2_protocol: study_accession protocol_accession
study_categorization: study_categorization_id research_focus study_accession
study_file: study_file_accession description file_name study_accession study_file_type workspace_id
study_glossary: study_accession definition term workspace_id
study_image: schematic_accession description image_filename image_type name study_accession workspace_id
study_link: study_link_id name study_accession type value workspace_id
study_personnel: person_accession email first_name honorific last_name organization role_in_study site_name
  study_accession suffixes title_in_study workspace_id
study_pubmed: study_accession pubmed_id authors doi issue journal month pages title year workspace_id
subject: subject_accession ancestral_population description ethnicity gender race race_specify species strain
  strain_characteristics workspace_id
subject_measure_definition: subject_measure_accession algorithm description measureofcentraltendency
  measureofdispersion measuretype name outcometype study_accession timeframe unitofmeasure workspace_id
subject_measure_result: subject_measure_res_accession centraltendencymeasurevalue datavalue dispersionmeasurevalue
  study_accession study_day subject_accession subject_measure_accession time_of_day workspace_id year_of_measure
treatment: treatment_accession amount_unit amount_value comments duration_unit duration_value name temperature_unit
  temperature_value workspace_id
workspace: workspace_id category name type
"""
_INDEXED: Final = """
study_accession subject_accession arm_accession biosample_accession expsample_accession experiment_accession
protocol_accession reagent_accession treatment_accession planned_visit_accession assessment_panel_accession
lab_test_panel_accession file_info_id fcs_header_id program_id contract_grant_id personnel_id
"""
_OWN: Final = ("immport_other_rows", "immport_lookups", "immport_studies", "immport_packages")


def _tables() -> list[tuple[str, list[str]]]:
    lines = (line.partition(": ") for line in _TABLES.replace("\n  ", " ").splitlines())
    return [(f"ip_{name}", columns.split()) for name, _, columns in lines]


def _package(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    key = sa.ForeignKeyConstraint(
        ["package_id"],
        ["immport_packages.id"],
        name=op.f(f"fk_{table}_package_id_immport_packages"),
        ondelete="CASCADE",
    )
    return sa.Column("package_id", sa.BigInteger(), autoincrement=False, nullable=False), key


def upgrade() -> None:
    op.create_table(
        "immport_packages",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("release", sa.String(length=50), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("imported", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_packages")),
    )
    op.create_table(
        "immport_studies",
        sa.Column("accession", sa.String(length=20), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        *_package("immport_studies"),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("accession", name=op.f("pk_immport_studies")),
        sa.UniqueConstraint("number", name=op.f("uq_immport_studies_number")),
    )
    op.create_index(op.f("ix_immport_studies_package_id"), "immport_studies", ["package_id"])
    op.create_table(
        "immport_lookups",
        sa.Column("vocabulary", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("vocabulary", "position", name=op.f("pk_immport_lookups")),
    )
    op.create_table(
        "immport_other_rows",
        *_package("immport_other_rows"),
        sa.Column("table_name", sa.String(length=64), nullable=False),
        sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("package_id", "table_name", "line", name=op.f("pk_immport_other_rows")),
    )
    indexed = _INDEXED.split()
    for name, columns in _tables():
        op.create_table(
            name,
            *_package(name),
            sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
            *(sa.Column(column, sa.Text(), nullable=True) for column in columns),
            sa.Column("extra", sa.JSON(), nullable=True),
            sa.PrimaryKeyConstraint("package_id", "line", name=op.f(f"pk_{name}")),
        )
        for column in columns:
            if column in indexed:
                op.create_index(op.f(f"ix_{name}_package_id_{column}"), name, ["package_id", column])


def downgrade() -> None:
    for name, _ in reversed(_tables()):
        op.drop_table(name)
    for name in _OWN:
        op.drop_table(name)
