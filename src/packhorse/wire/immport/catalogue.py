"""The submission templates' columns, as data (spec immport §4): one block a template, one entry a column.

A block begins with ``NAME TABLE``; its columns follow, indented, divided by ``;``. ``@group`` puts a group's columns
in. Columns after ``---`` repeat: they stand behind the separator column, as often as a row has results, and make rows
of the table named there. A block of a compound template begins with ``COMPOUND/BLOCK TABLE``. After a column's ``|``:

* ``req`` required; ``need`` required where the row defines a new record of its ``of:`` table; ``if:Other Column=value``
* ``num``, ``int`` (positive), ``date``, ``file`` (in the package), ``files`` (several, divided by ``;``)
* ``cv:lk_…`` a term of that vocabulary; ``pv:lk_…`` preferably one
* ``key`` the record's own user defined ID; ``ref:table`` an ID or accession of that table, ``refs:`` several;
  ``new:table`` either that, or the ID of a record that this row defines
* ``of:table`` (``of:table.column``) what the value belongs to, where that is not the template's table;
  ``col:name`` its column, where the name does not say it
"""

from __future__ import annotations

from typing import Final

__all__ = ["COLUMNS", "GROUPS", "PREFIXES"]

PREFIXES: Final = {
    "study": "SDY", "arm_or_cohort": "ARM", "planned_visit": "PV", "protocol": "PTL", "subject": "SUB",
    "biosample": "BS", "experiment": "EXP", "expsample": "ES", "treatment": "TRT", "reagent": "ESR",
    "control_sample": "CS", "standard_curve": "SC", "adverse_event": "AE", "intervention": "IN",
    "assessment_panel": "AP", "assessment_component": "AC", "lab_test_panel": "LTP", "lab_test": "LT",
    "inclusion_exclusion": "CRIT", "study_personnel": "PSN", "study_file": "SFL", "immune_exposure": "IMX",
}  # fmt: skip
"""Which records have accessions, and how those begin (spec §2.8; some of the less common ones are ours)."""

GROUPS: Final = """
@time
  Study Time Collected|num of:biosample need; Study Time Collected Unit|cv:lk_time_unit of:biosample need;
  Study Time T0 Event|cv:lk_t0_event of:biosample need;
  Study Time T0 Event Specify|if:Study Time T0 Event=Other of:biosample
@sample
  Biosample ID|req new:biosample; Subject ID|ref:subject of:biosample need;
  Planned Visit ID|ref:planned_visit of:biosample need; Type|cv:lk_sample_type of:biosample need;
  Subtype|if:Type=Other of:biosample; Biosample Name|of:biosample.name; Biosample Description|of:biosample.description;
  @time
@assay
  Study ID|ref:study of:biosample,experiment need; Expsample ID|req key; Expsample Name|col:name;
  Expsample Description|col:description; Reagent ID(s)|refs:reagent; Treatment ID(s)|refs:treatment;
  Additional Result File Names|files
@experiment
  Experiment ID|req new:experiment; Protocol ID(s)|refs:protocol of:experiment need;
  Experiment Name|of:experiment.name need; Experiment Description|of:experiment.description;
  Measurement Technique|cv:lk_exp_measurement_tech of:experiment need
@control
  Assay ID; Assay Group ID; ImmPort Template?|cv:lk_yes_no; Result File Name|file; Additional Result File Names|files;
  Experiment ID|req new:experiment; Study ID|ref:study of:experiment need;
  Protocol ID(s)|refs:protocol of:experiment need; Name|of:experiment.name need; Description|of:experiment.description;
  Measurement Technique|cv:lk_exp_measurement_tech of:experiment need
@titer
  Virus Strain Reported|req pv:lk_virus_strain; Value Reported|req num; Unit Reported|req pv:lk_titer_unit; Comments
@analyte
  Analyte Reported|req pv:lk_analyte
@elisa
  @analyte; Value Reported|req num; Unit Reported|req pv:lk_concentration_unit; Comments
@elispot
  @analyte; Spot Number Reported|req num; Cell Number Reported|req num; Comments
@mbaa
  Assay ID|req; Assay Group ID; @analyte; MFI|req; Concentration Value Reported|req num;
  Concentration Unit Reported|req pv:lk_concentration_unit; MFI Coordinate; Comments
@pcr
  Gene Symbol Name|req pv:lk_analyte col:gene_symbol_reported; Value Reported|req num;
  Unit Reported|req pv:lk_pcr_expression_unit; Gene ID; Gene Name; Other Gene Accession; Comments
@population
  Expsample ID|req ref:expsample; Population Name Reported|req pv:lk_cell_population;
  Gating Definition Reported|req pv:lk_cell_population_definition col:population_defnition_reported;
  Parent Population Reported|pv:lk_cell_population;
  Population Statistic (count, percentile, etc)|req num col:population_statistic_reported;
  Population Stat Unit Reported|req pv:lk_cell_pop_statistic_unit; Workspace File|req file; Comments
@metabolite
  Metabolite Name Reported|req pv:lk_hmdb; M/Z Ratio|num col:mz_ratio; Z Charge|num; Intensity|req num;
  Retention Time|num; Retention Time Unit|cv:lk_time_unit; Comments
@protein
  Protein Name Reported|req pv:lk_protein_name; Database ID Reported; M/Z Ratio|num col:mz_ratio; Z Charge|num;
  Intensity|req num; Retention Time|num; Retention Time Unit|cv:lk_time_unit; Comments
@exposure
  Exposure Process Reported|req pv:lk_exposure_process; Exposure Material Reported|pv:lk_exposure_material;
  Exposure Material ID; Disease Reported|pv:lk_disease; Disease Ontology ID;
  Disease Stage Reported|pv:lk_disease_stage
@person
  Subject ID|req key; Arm Or Cohort ID|req ref:arm_or_cohort; Gender|req cv:lk_gender; Min Subject Age|req num;
  Max Subject Age|num; Age Unit|req cv:lk_time_unit; Age Event|req cv:lk_age_event;
  Age Event Specify|if:Age Event=Other; Subject Phenotype; Subject Location|req cv:lk_subject_location
@reagent
  User Defined ID|req key; Name; Description; Manufacturer|req; Catalog Number|req; Lot Number; Weblink; Contact
@antibody
  @reagent; @analyte; Antibody Registry ID
@labels
  Clone Name|req; Reporter Name|req
@visit
  User Defined ID|req key; Name|req; Order Number|req int; Min Start Day|req num; Max Start Day|num; Start Rule;
  End Rule
@arm
  User Defined ID|req key; Name|req; Description|req; Type Reported|col:type
@criterion
  User Defined ID|req key; Criterion|req; Criterion Category|req cv:lk_criterion_category
@staff
  User Defined ID|req key; Honorific; Last Name|req; First Name|req; Suffixes; Organization|req; ORCID ID; Email|req;
  Title In Study|req; Role In Study|req cv:lk_personnel_role; Site Name|req
@document
  File Name|req file; Description|req; Study File Type|req cv:lk_study_file_type
@site
  Name|req; Value|req
@article
  Pubmed ID|req; DOI; Title; Journal; Year; Month; Issue; Pages; Authors
"""

COLUMNS: Final = """
adverseEvents adverse_event
  User Defined ID|req key; Subject ID|req ref:subject; Study ID|req ref:study; Name Reported|req; Name Preferred;
  Severity Reported|req pv:lk_adverse_event_severity; Outcome Reported|req; Start Study Day|num; End Study Day|num;
  Relation To Study Treatment|req; Organ Or Body System Reported; Description; Location Of Reaction Reported;
  Study Treatment Action Taken; Relation To Nonstudy Treatment; Causality; Start Time; End Time
assessments assessment_component
  Subject ID|req ref:subject; Assessment Panel ID|req new:assessment_panel; Study ID|ref:study of:assessment_panel need;
  Name Reported|of:assessment_panel need; Assessment Type|of:assessment_panel; Status|of:assessment_panel;
  CRF File Names|files
  --- assessment_component
  User Defined ID|req key; Planned Visit ID|req ref:planned_visit; Name Reported|req; Study Day|req num;
  Age At Onset Reported|num; Age At Onset Unit Reported|pv:lk_time_unit; Is Clinically Significant;
  Location Of Finding Reported; Organ Or Body System Reported; Result Value Reported;
  Result Unit Reported|pv:lk_unit_of_measure; Result Value Category; Subject Position Reported; Time Of Day;
  Verbatim Question; Who Is Assessed
bioSamples biosample
  User Defined ID|req key; Type|req cv:lk_sample_type; Subtype|if:Type=Other; Name; Description;
  Subject ID|req ref:subject; Study ID|req ref:study; Planned Visit ID|req ref:planned_visit;
  Treatment ID(s)|refs:treatment; Study Time Collected|req num; Study Time Collected Unit|req cv:lk_time_unit;
  Study Time T0 Event|req cv:lk_t0_event; Study Time T0 Event Specify|if:Study Time T0 Event=Other
controlSamples control_sample
  Control Sample ID|req key; Source; Catalog ID; Dilution Factor; Lot Number; @control
experiments experiment
  User Defined ID|req key; Name|req; Description; Measurement Technique|req cv:lk_exp_measurement_tech;
  Study ID|req ref:study; Protocol ID(s)|req refs:protocol; Hypothesis
experimentSamples.CYTOF expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.ELISA expsample
  @assay; @sample; @experiment
  --- elisa_result
  @elisa
experimentSamples.ELISPOT expsample
  @assay; @sample; @experiment
  --- elispot_result
  @elispot
experimentSamples.Flow_Cytometry expsample
  @assay; .Fcs Result File|file; Compensation Or Control File Name(s)|files; Marker Information File|file; @sample;
  @experiment
experimentSamples.Gene_Expression_Array expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.Genotyping_Array expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.HAI expsample
  @assay; @sample; @experiment
  --- hai_result
  @titer
experimentSamples.HLA expsample
  @assay; @sample; @experiment
experimentSamples.Image_Histology expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.KIR expsample
  @assay; @sample; @experiment
experimentSamples.MBAA expsample
  @assay; Assay ID; Assay Group ID; Dilution Factor; Plate Type|cv:lk_plate_type; Result File Name|file; @sample;
  @experiment
experimentSamples.Mass_Spectrometry_Metabolomics expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.Mass_Spectrometry_Proteomics expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.Neutralizing_Antibody_Titer expsample
  @assay; @sample; @experiment
  --- neut_ab_titer_result
  @titer
experimentSamples.Other expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.QRT-PCR expsample
  @assay; @sample; @experiment
  --- pcr_result
  @pcr
experimentSamples.RNA_Sequencing expsample
  @assay; Result File Name|file; @sample; @experiment
experimentSamples.Virus_Neutralization expsample
  @assay; @sample; @experiment
  --- neut_ab_titer_result
  @titer
immuneExposure immune_exposure
  Subject ID|req ref:subject; Arm Or Cohort ID|req ref:arm_or_cohort; @exposure
interventions intervention
  User Defined ID|req key; Subject ID|req ref:subject; Study ID|req ref:study; Name Reported|req;
  Compound Name Reported|req; Compound Role|req cv:lk_compound_role; Dose Reported|req; Start Day|num; End Day|num;
  Status; Reported Indication; Formulation; Dose|num; Dose Units; Dose Freq Per Interval; Route Of Admin Reported;
  Start Time; End Time; Is Ongoing; Duration|num; Duration Unit
labTestPanels lab_test_panel
  User Defined ID|req key; Name Reported|req pv:lk_lab_test_panel_name; Study ID|req ref:study;
  Protocol ID(s)|req refs:protocol
labTest_Results lab_test
  User Defined ID|req key; Lab Test Panel ID|req ref:lab_test_panel; Biosample ID|req ref:biosample;
  Name Reported|req pv:lk_lab_test_name; Result Value Reported|req; Result Unit Reported|req pv:lk_unit_of_measure
labTests lab_test
  Study ID|ref:study of:biosample,lab_test_panel need; Biosample ID|req new:biosample;
  Subject ID|ref:subject of:biosample need; Planned Visit ID|ref:planned_visit of:biosample need;
  Type|cv:lk_sample_type of:biosample need; Subtype|if:Type=Other of:biosample; Name|of:biosample;
  Description|of:biosample; @time; Lab Test Panel ID|req new:lab_test_panel;
  Protocol ID(s)|refs:protocol of:lab_test_panel need;
  Name Reported|pv:lk_lab_test_panel_name of:lab_test_panel need
  --- lab_test
  User Defined ID|req key; Name Reported|req pv:lk_lab_test_name; Result Value Reported|req;
  Result Unit Reported|req pv:lk_unit_of_measure
protocols protocol
  User Defined ID|req key; File Name|req file; Name|req; Description; Type|cv:lk_protocol_type
publicRepositories expsample_public_repository
  Expsample ID|req ref:expsample; Repository Name|req cv:lk_public_repository; Repository Accession|req
reagents.Array reagent
  @reagent
reagents.CyTOF reagent
  @antibody; @labels
reagents.ELISA reagent
  @antibody
reagents.ELISPOT reagent
  @antibody
reagents.Flow_Cytometry reagent
  @antibody; @labels
reagents.HAI reagent
  @reagent
reagents.HLA_Typing reagent
  @reagent
reagents.KIR_Typing reagent
  @reagent
reagents.MBAA reagent
  @reagent; @analyte
reagents.Neutralizing_Antibody_Titer reagent
  @reagent
reagents.Other reagent
  @reagent
reagents.PCR reagent
  @reagent
reagents.Sequencing reagent
  @reagent
reagents.Virus_Neutralization reagent
  @reagent
Reagent_Sets reagent
  User Defined ID|req key; Reagent ID(s)|req refs:reagent; Description|req; Name|req; Type|req cv:lk_reagent_type
standardCurves standard_curve
  Standard Curve ID|req key; Formula; Analyte Reported|pv:lk_analyte; Lower Limit|num; Lower Limit Unit;
  Upper Limit|num; Upper Limit Unit; @control
subjectAnimals subject
  @person; Species|req cv:lk_species; Strain|req; Strain Characteristics
  --- immune_exposure
  @exposure
subjectHumans subject
  @person; Ethnicity|req cv:lk_ethnicity; Race|req cv:lk_race; Race Specify|if:Race=Other; Description
  --- immune_exposure
  @exposure
treatments treatment
  User Defined ID|req key; Name|req; Use Treatment?|req cv:lk_yes_no; Amount Value|num; Amount Unit|cv:lk_amount_unit;
  Duration Value|num; Duration Unit|cv:lk_time_unit; Temperature Value|num; Temperature Unit|cv:lk_temperature_unit;
  Comments
CyTOF_Derived_data fcs_analyzed_result
  @population
ELISA_Results elisa_result
  Expsample ID|req ref:expsample; @elisa
ELISPOT_Results elispot_result
  Expsample ID|req ref:expsample; @elispot
FCM_Derived_data fcs_analyzed_result
  @population
HAI_Results hai_result
  Expsample ID|req ref:expsample; @titer
HLA_Typing hla_typing_result
  Expsample ID|req ref:expsample; Ancestral Population|req cv:lk_ancestral_population; HLA-A Allele 1; HLA-A Allele 2;
  HLA-B Allele 1; HLA-B Allele 2; HLA-C Allele 1; HLA-C Allele 2; HLA-DPA1 Allele 1; HLA-DPA1 Allele 2;
  HLA-DPB1 Allele 1; HLA-DPB1 Allele 2; HLA-DQA1 Allele 1; HLA-DQA1 Allele 2; HLA-DQB1 Allele 1; HLA-DQB1 Allele 2;
  HLA-DRB1 Allele 1; HLA-DRB1 Allele 2; HLA-DRB3 Allele 1; HLA-DRB3 Allele 2; HLA-DRB4 Allele 1; HLA-DRB4 Allele 2;
  HLA-DRB5 Allele 1; HLA-DRB5 Allele 2; Comments
KIR_Typing kir_typing_result
  Expsample ID|req ref:expsample; Ancestral Population|req cv:lk_ancestral_population; KIR Haplotype; KIR2DL1 Allele 1;
  KIR2DL1 Allele 2; KIR2DL2 Allele 1; KIR2DL2 Allele 2; KIR2DL3 Allele 1; KIR2DL3 Allele 2; KIR2DL4 Allele 1;
  KIR2DL4 Allele 2; KIR2DS1 Allele 1; KIR2DS1 Allele 2; KIR3DL1 Allele 1; KIR3DL1 Allele 2; KIR3DL2 Allele 1;
  KIR3DL2 Allele 2; KIR3DL3 Allele 1; KIR3DL3 Allele 2; KIR3DS1 Allele 1; KIR3DS1 Allele 2; Comments
Mass_Spectrometry_Metabolomic_Results mass_spectrometry_result
  Expsample ID|req ref:expsample; @metabolite
Mass_Spectrometry_Proteomic_Results mass_spectrometry_result
  Expsample ID|req ref:expsample; @protein
MBAA_Results mbaa_result
  Source ID|req col:source_accession; Source Type|req cv:lk_source_type; @mbaa
PCR_Results pcr_result
  Expsample ID|req ref:expsample; @pcr
RNA_SEQ_Results rna_seq_result
  Expsample ID|req ref:expsample; Reference Transcript ID|req; Repository Name|req cv:lk_public_repository;
  Transcript Type Reported|req pv:lk_transcript_type; Result Unit Reported|req pv:lk_rna_sequence_result_unit_type;
  Value Reported|req num; Comments
Virus_Neutralization_Results neut_ab_titer_result
  Expsample ID|req ref:expsample; @titer
basic_study_design/study study
  User Defined ID|req key; Brief Title|req; Official Title|req; Brief Description|req; Description|req; Hypothesis;
  Objectives; Endpoints|req; Sponsoring Organization|req; Target Enrollment|int; Minimum Age; Maximum Age;
  Age Unit|req cv:lk_time_unit; Actual Start Date|date; Intervention Agent|req
basic_study_design/study_categorization study_categorization
  Research Focus|req cv:lk_research_focus
basic_study_design/study_2_condition_or_disease study_2_condition_or_disease
  Condition Reported|req pv:lk_disease
basic_study_design/arm_or_cohort arm_or_cohort
  @arm
basic_study_design/study_personnel study_personnel
  @staff
basic_study_design/planned_visit planned_visit
  @visit
basic_study_design/inclusion_exclusion inclusion_exclusion
  @criterion
basic_study_design/study_2_protocol study_2_protocol
  Protocol ID|req ref:protocol
basic_study_design/study_file study_file
  @document
basic_study_design/study_link study_link
  @site
basic_study_design/study_pubmed study_pubmed
  @article
study_design_edit/study_2_condition_or_disease study_2_condition_or_disease
  Study ID|req ref:study; Condition Reported|req pv:lk_disease
study_design_edit/arm_or_cohort arm_or_cohort
  Study ID|req ref:study; @arm
study_design_edit/study_personnel study_personnel
  Study ID|req ref:study; @staff
study_design_edit/planned_visit planned_visit
  Study ID|req ref:study; @visit
study_design_edit/inclusion_exclusion inclusion_exclusion
  Study ID|req ref:study; @criterion
study_design_edit/study_2_protocol study_2_protocol
  Study ID|req ref:study; Protocol ID|req ref:protocol
study_design_edit/study_file study_file
  Study ID|req ref:study; @document
study_design_edit/study_link study_link
  Study ID|req ref:study; @site
study_design_edit/study_pubmed study_pubmed
  Study ID|req ref:study; @article
"""
