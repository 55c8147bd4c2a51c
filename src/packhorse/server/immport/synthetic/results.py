"""An invented study's experiments: what was measured in each sample, with which reagents, and in which files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from packhorse.server.immport.synthetic.files import add_files, text_file
from packhorse.server.immport.synthetic.plan import StudyPlan, Tables

__all__ = ["add", "elisa_cells"]

_EXPERIMENTS: Final = {
    "elisa": ("ELISA", "ELISA"),
    "elispot": ("ELISPOT", "ELISPOT"),
    "fcs_analyzed": ("Flow Cytometry", "FCM"),
    "hai": ("Hemagglutination Inhibition", "HAI"),
    "hla_typing": ("HLA Typing", "HLA"),
    "kir_typing": ("KIR Typing", "KIR"),
    "mbaa": ("Luminex xMAP", "MBAA"),
    "neut_ab_titer": ("Virus Neutralization", "VIRUS_NEUTRALIZATION"),
    "pcr": ("Q-PCR", "PCR"),
    "mass_spectrometry": ("Mass Spectrometry", "MASS_SPECTROMETRY"),
}
_CYTOKINES: Final = (("IL2", "IL-2"), ("IFNG", "IFN-gamma"), ("TNF", "TNF-alpha"))
_CELLS: Final = ("B cells", "T cells", "NK cells", "monocytes")
_STRAINS: Final = ("A/Demo/1/2017", "A/Demo/2/2017")


def elisa_cells(plan: StudyPlan, at: int) -> dict[str, Any]:
    """What an ELISA measured; ``at`` counts within the study."""
    symbol, reported = _CYTOKINES[at % 3]
    value = f"{plan.random.uniform(1, 900):.2f}"
    return {
        "analyte_preferred": symbol,
        "analyte_reported": reported,
        "comments": "above the upper limit" if at % 11 == 10 else None,
        "unit_preferred": "pg/ml",
        "unit_reported": "pg/mL",
        "value_preferred": value,
        "value_reported": value.rstrip("0").rstrip("."),
    }


def _elispot(plan: StudyPlan, at: int) -> dict[str, Any]:
    symbol, reported = _CYTOKINES[at % 3]
    spots = str(plan.random.randint(0, 400))
    return {"analyte_preferred": symbol, "analyte_reported": reported, "cell_number_preferred": "200000",
            "cell_number_reported": "2e5", "spot_number_preferred": spots, "spot_number_reported": spots}  # fmt: skip


def _gated(plan: StudyPlan, at: int) -> dict[str, Any]:
    value = f"{plan.random.uniform(0, 100):.2f}"
    return {"parent_population_preferred": "lymphocytes", "parent_population_reported": "Lymphocytes",
            "population_defnition_preferred": "CD3+" if at % 2 else "CD19+",
            "population_defnition_reported": "CD3+" if at % 2 else "CD19+",
            "population_name_preferred": _CELLS[at % 4], "population_name_reported": _CELLS[at % 4],
            "population_stat_unit_preferred": "%", "population_stat_unit_reported": "percent",
            "population_statistic_preferred": value, "population_statistic_reported": value,
            "workspace_file_info_id": None}  # fmt: skip


def _titer(plan: StudyPlan, at: int) -> dict[str, Any]:
    value = str(10 * 2 ** plan.random.randint(0, 7))
    return {"unit_preferred": "titer", "unit_reported": "1/dilution",
            "value_preferred": value, "value_reported": value, "virus_strain_preferred": _STRAINS[at % 2],
            "virus_strain_reported": f"{_STRAINS[at % 2]} (egg)"}  # fmt: skip


def _hla(plan: StudyPlan, at: int) -> dict[str, Any]:
    locus = "ABC"[at % 3]
    first, second = (f"{locus}*{plan.random.randint(1, 30):02d}:01" for _ in range(2))
    return {"allele_1": first, "allele_2": second, "ancestral_population": "European", "locus_name": locus,
            "result_set_id": plan.id(1)}  # fmt: skip


def _kir(plan: StudyPlan, at: int) -> dict[str, Any]:
    return {"allele_1": f"2DL{at % 3 + 1}*001", "allele_2": f"2DL{at % 3 + 1}*00{plan.random.randint(2, 9)}",
            "kir_haplotype": "AB"[at % 2]}  # fmt: skip


def _pcr(plan: StudyPlan, at: int) -> dict[str, Any]:
    symbol, _ = _CYTOKINES[at % 3]
    value = f"{plan.random.uniform(14, 38):.3f}"
    return {"gene_id": str(3000 + at % 3), "gene_name": f"{symbol} gene", "gene_symbol_preferred": symbol,
            "gene_symbol_reported": symbol.lower(), "unit_preferred": "Ct", "unit_reported": "Ct",
            "value_preferred": value, "value_reported": value}  # fmt: skip


def _spectrum(plan: StudyPlan, at: int) -> dict[str, Any]:
    protein = ("albumin", "transferrin")[at % 2]
    return {"database_id_preferred": f"P{at % 2 + 1:05d}", "database_id_reported": f"P{at % 2 + 1:05d}",
            "intensity": f"{plan.random.uniform(1e3, 1e6):.1f}", "mass_spectrometry_type": "Proteomics",
            "protein_name_preferred": protein, "protein_name_reported": protein.upper(),
            "retention_time": f"{plan.random.uniform(5, 90):.2f}", "retention_time_unit": "Minutes",
            "zcharge": str(at % 3 + 1), "mzratio": f"{plan.random.uniform(200, 1500):.4f}"}  # fmt: skip


def _beads(plan: StudyPlan, at: int) -> dict[str, Any]:
    symbol, reported = _CYTOKINES[at % 3]
    value = f"{plan.random.uniform(1, 900):.2f}"
    return {"analyte_preferred": symbol, "analyte_reported": reported, "assay_group_id": f"G{plan.number}",
            "assay_id": f"plate{at % 2 + 1}", "concentration_unit_preferred": "pg/ml",
            "concentration_unit_reported": "pg/mL", "concentration_value_preferred": value,
            "concentration_value_reported": value, "mfi": str(plan.random.randint(20, 20000)),
            "mfi_coordinate": f"A{at % 12 + 1}"}  # fmt: skip


_MEASURES: Final[dict[str, Callable[[StudyPlan, int], dict[str, Any]]]] = {
    "elisa": elisa_cells,
    "elispot": _elispot,
    "fcs_analyzed": _gated,
    "hai": _titer,
    "hla_typing": _hla,
    "kir_typing": _kir,
    "mbaa": _beads,
    "neut_ab_titer": _titer,
    "pcr": _pcr,
    "mass_spectrometry": _spectrum,
}


def add(plan: StudyPlan, tables: Tables, samples: list[dict[str, Any]]) -> None:
    """An experiment of each kind over all samples, and the files."""
    reagents = _reagents(plan, tables)
    expsamples: list[str] = []
    for number, kind in enumerate(plan.kinds, 1):
        technique, schema = _EXPERIMENTS[kind]
        experiment = plan.key("EXP", number)
        tables.add("experiment", experiment_accession=experiment, description=f"{technique} in every sample.",
                   measurement_technique=technique, name=f"{technique} of {plan.accession}",
                   study_accession=plan.accession, workspace_id=plan.id(0))  # fmt: skip
        tables.add("experiment_2_protocol", experiment_accession=experiment, protocol_accession=plan.key("PTL", 2))
        if kind == "mbaa":
            _controls(plan, tables, experiment)
        for at, sample in enumerate(samples, 1):
            expsample = plan.key("ES", len(expsamples) + 1)
            expsamples.append(expsample)
            tables.add("expsample", expsample_accession=expsample, experiment_accession=experiment,
                       name=f"{technique} {at}", result_schema=schema, upload_result_status="complete",
                       workspace_id=plan.id(0))  # fmt: skip
            tables.add("expsample_2_biosample", biosample_accession=sample["biosample_accession"],
                       expsample_accession=expsample)  # fmt: skip
            tables.add("expsample_2_reagent", expsample_accession=expsample,
                       reagent_accession=reagents[number % len(reagents)])  # fmt: skip
            if at % 5 == 0:
                tables.add("expsample_2_treatment", expsample_accession=expsample,
                           treatment_accession=plan.key("TRT", 1))  # fmt: skip
            if kind == "mbaa":
                tables.add("expsample_mbaa_detail", expsample_accession=expsample, assay_group_id=f"G{plan.number}",
                           assay_id=f"plate{at % 2 + 1}", dilution_factor="2", plate_type="96-well")  # fmt: skip
            _result(plan, tables, kind, at, experiment=experiment, expsample=expsample, sample=sample)
        if kind == "pcr":
            tables.add("expsample_public_repository", expsample_accession=expsamples[-1],
                       repository_accession=f"DEMO{plan.number}", repository_name="GEO")  # fmt: skip
    add_files(plan, tables, expsamples)


def _result(
    plan: StudyPlan, tables: Tables, kind: str, at: int, *, experiment: str, expsample: str, sample: dict[str, Any]
) -> None:
    first = plan.elisa_from if kind == "elisa" and plan.elisa_from is not None else plan.id(1)
    key = first + len(tables.get(f"{kind}_result", ()))
    where = {"expsample_accession": expsample}
    if kind == "mbaa":
        where = {"source_accession": expsample, "source_type": "EXPSAMPLE"}
    tables.add(f"{kind}_result", result_id=key, arm_accession=sample["arm"],
               biosample_accession=sample["biosample_accession"], experiment_accession=experiment,
               study_accession=plan.accession, study_time_collected=sample["study_time_collected"],
               study_time_collected_unit=sample["study_time_collected_unit"],
               subject_accession=sample["subject_accession"], workspace_id=plan.id(0), **where,
               **_MEASURES[kind](plan, at))  # fmt: skip
    if kind == "fcs_analyzed":
        tables.add("fcs_analyzed_result_marker", fcs_analyzed_result_marker_id=key,
                   population_marker_preferred="CD3+", population_marker_reported="CD3", result_id=key)  # fmt: skip
    if kind == "pcr":  # a made-up transcript beside each: the table has no endpoint, but packages have it
        tables.add("rna_seq_result", result_id=key, expsample_accession=expsample, study_accession=plan.accession,
                   experiment_accession=experiment, reference_transcript_id=f"NM_{at:06d}",
                   transcript_type_preferred="mRNA", transcript_type_reported="mRNA", value_preferred="1.5",
                   value_reported="1.5",
                   workspace_id=plan.id(0))  # fmt: skip


def _reagents(plan: StudyPlan, tables: Tables) -> list[str]:
    found = [plan.key("ESR", number) for number in range(1, 5)]
    for number, accession in enumerate(found, 1):
        tables.add("reagent", reagent_accession=accession, analyte_preferred=_CYTOKINES[number % 3][0],
                   analyte_reported=_CYTOKINES[number % 3][1], catalog_number=f"CAT-{number}", clone_name=f"DX{number}",
                   contact="reagents@demo.invalid", is_set="Y" if number == 4 else "N", lot_number=str(1000 + number),
                   manufacturer="Demo Reagents", name=f"reagent {number}", reporter_name=("FITC", "PE")[number % 2],
                   type="Antibody", weblink="https://reagents.invalid/", workspace_id=plan.id(0))  # fmt: skip
    for accession in found[:3]:
        tables.add("reagent_set_2_reagent", reagent_set_accession=found[3], reagent_accession=accession,
                   workspace_id=plan.id(0))  # fmt: skip
    return found


def _controls(plan: StudyPlan, tables: Tables, experiment: str) -> None:
    control, curve, file = plan.key("CTL", 1), plan.key("STD", 1), plan.id(900)
    tables.add("control_sample", control_sample_accession=control, assay_group_id=f"G{plan.number}", assay_id="plate1",
               catalog_id="C1", dilution_factor="1", experiment_accession=experiment, lot_number="7",
               result_schema="MBAA", source="pooled serum", upload_result_status="complete",
               workspace_id=plan.id(0))  # fmt: skip
    tables.add("standard_curve", standard_curve_accession=curve, analyte_preferred="IL2", analyte_reported="IL-2",
               assay_group_id=f"G{plan.number}", assay_id="plate1", experiment_accession=experiment, formula="5PL",
               lower_limit="1.0", lower_limit_unit="pg/ml", result_schema="MBAA", upload_result_status="complete",
               upper_limit="10000.0", upper_limit_unit="pg/ml", workspace_id=plan.id(0))  # fmt: skip
    text_file(plan, tables, file, "MBAA result", f"{plan.accession}_beads")
    tables.add("control_sample_2_file_info", control_sample_accession=control, file_info_id=file, result_schema="MBAA")
    tables.add("standard_curve_2_file_info", standard_curve_accession=curve, file_info_id=file, result_schema="MBAA")
