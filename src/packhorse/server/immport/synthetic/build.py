"""An invented study: its design, its people, its samples; results and clinical records are added by their modules."""

from __future__ import annotations

from typing import Any, Final

from packhorse.server.immport.synthetic import clinical, results
from packhorse.server.immport.synthetic.plan import StudyPlan, Tables
from packhorse.server.immport.synthetic.vocabularies import vocabularies

__all__ = ["Tables", "make_study"]

_ARMS: Final = (("Healthy controls", "Control", "healthy"), ("Vaccinated", "Experimental", "vaccinated"))
_ETHNICITIES: Final = ("Not Hispanic or Latino", "Hispanic or Latino")
_PERSONS: Final = (
    ("Ada", "Example", "Principal Investigator"),
    ("Grace", "Sample", "Co-Investigator"),
)


def make_study(plan: StudyPlan) -> tuple[Tables, dict[str, bytes]]:
    """The tables of the study, with the vocabularies, and its documents by their path in a package."""
    tables = Tables()
    for name, rows in vocabularies().items():
        tables[name] = rows
    documents = _study(plan, tables)
    _people(plan, tables)
    samples = _samples(plan, tables)
    results.add(plan, tables, samples)
    clinical.add(plan, tables, samples)
    return tables, documents


def _study(plan: StudyPlan, tables: Tables) -> dict[str, bytes]:
    study, workspace = plan.accession, plan.id(0)
    tables.add("workspace", workspace_id=workspace, category="NIH", name="Demonstration", type="PW")
    row: dict[str, Any] = {
        "study_accession": study, "actual_completion_date": "2016-06-30", "actual_enrollment": plan.subjects,
        "actual_start_date": "2015-01-15", "age_unit": "Years",
        "brief_description": f"An invented study for demonstration: {plan.title}",
        "brief_title": plan.title, "clinical_trial": "Y", "condition_studied": "influenza",
        "description": "Invented from the first to the last value. Samples were never taken.",
        "doi": f"10.5072/packhorse.{study.lower()}", "endpoints": "Titers at the last visit.",
        "gender_included": "Both", "hypothesis": "Titers rise after vaccination.",
        "initial_data_release_date": "2016-09-01", "initial_data_release_version": "DR19",
        "intervention_agent": "demonstration vaccine", "latest_data_release_date": "2017-04-20",
        "latest_data_release_version": "DR21", "maximum_age": "65.00", "minimum_age": "18.00",
        "objectives": "To have something that can be queried.", "official_title": plan.title,
        "sponsoring_organization": "Institute of Demonstration", "target_enrollment": plan.subjects + 2,
        "type": "Interventional", "workspace_id": workspace,
    }  # fmt: skip
    tables.add("study", **(row | dict(plan.fixed)))
    for panel in ("study_design", "demographics", "adverse_events"):
        tables.add("study_2_panel", study_accession=study, panel_name=panel)
    tables.add("study_categorization", study_categorization_id=plan.id(1), research_focus="Vaccine Response",
               study_accession=study)  # fmt: skip
    tables.add("study_glossary", study_accession=study, term="T0", definition="The day of the first dose.",
               workspace_id=workspace)  # fmt: skip
    tables.add("study_link", study_link_id=plan.id(1), name="Protocol registry", study_accession=study,
               type="Clinical Trial", value=f"https://registry.invalid/{study}", workspace_id=workspace)  # fmt: skip
    tables.add("study_pubmed", study_accession=study, pubmed_id=f"9900{plan.number:04d}",
               authors="Example A, Sample G.", doi=f"10.5072/packhorse.paper.{plan.number}",
               issue="2", journal="Journal of Invented Results",
               month="Apr", pages="1-9", title=f"On {plan.title[:60].rstrip()}", year="2017",
               workspace_id=workspace)  # fmt: skip
    tables.add("inclusion_exclusion", criterion_accession=plan.key("CRIT", 1), criterion="Between 18 and 65 years old",
               criterion_category="Inclusion", study_accession=study, workspace_id=workspace)  # fmt: skip
    tables.add("inclusion_exclusion", criterion_accession=plan.key("CRIT", 2), criterion="Vaccinated in this season",
               criterion_category="Exclusion", study_accession=study, workspace_id=workspace)  # fmt: skip
    return _documents(plan, tables)


def _documents(plan: StudyPlan, tables: Tables) -> dict[str, bytes]:
    """Protocols, study files and the image of the design."""
    found: dict[str, bytes] = {}
    for number, (name, kind) in enumerate((("Sampling", "Study"), ("Measurement", "Assay")), 1):
        accession = plan.key("PTL", number)
        file = f"{name}.{accession}.txt"
        tables.add("protocol", protocol_accession=accession, description=f"{name}, step by step.", file_name=file,
                   name=name, original_file_name=f"{name}.txt", type=kind, workspace_id=plan.id(0))  # fmt: skip
        tables.add("study_2_protocol", study_accession=plan.accession, protocol_accession=accession)
        found[f"protocols/{file}"] = f"{plan.accession}: {name}. Invented for demonstration.\n".encode()
    for number, (name, kind) in enumerate(
        (("Dictionary", "Data Dictionary"), ("Summary", "Study Summary Description")), 1
    ):
        file = f"{plan.accession}-{name}.{plan.id(number)}.txt"
        tables.add("study_file", study_file_accession=plan.key("SF", number), description=f"{name} of the study.",
                   file_name=file, study_accession=plan.accession, study_file_type=kind,
                   workspace_id=plan.id(0))  # fmt: skip
        found[f"study_files/{file}"] = f"{plan.accession}: {plan.title}\n{name}. Invented.\n".encode()
    image = f"{plan.accession}_Schematics.svg"
    tables.add("study_image", schematic_accession=plan.key("SCH", 1), image_filename=image,
               image_type="STUDY_SCHEMATIC_PRIMARY", name="Design", study_accession=plan.accession,
               workspace_id=plan.id(0))  # fmt: skip
    found[f"study_images/{image}"] = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><path d="M10 20h100" stroke="black"/></svg>\n'
    )
    return found


def _people(plan: StudyPlan, tables: Tables) -> None:
    program, grant = plan.id(1), plan.id(2)
    tables.add("program", program_id=program, category="NIH", description="A program that was never funded.",
               end_date="2018-12-31", link="https://program.invalid/", name="Demonstration Program",
               start_date="2014-01-01")  # fmt: skip
    tables.add("contract_grant", contract_grant_id=grant, category="NIH", description="A grant that nobody got.",
               end_date="2018-12-31", external_id=f"U99-DEMO-{plan.number:04d}", link="https://grant.invalid/",
               name="Demonstration Grant", program_id=program, start_date="2014-01-01")  # fmt: skip
    tables.add("contract_grant_2_study", contract_grant_id=grant, study_accession=plan.accession)
    for number, (first, last, role) in enumerate(_PERSONS, 1):
        mail = f"{first.lower()}@demo.invalid"
        tables.add("personnel", personnel_id=plan.id(number), email=mail, first_name=first, last_name=last,
                   organization="Institute of Demonstration")  # fmt: skip
        tables.add("program_2_personnel", program_id=program, personnel_id=plan.id(number), role_type=role)
        tables.add("contract_grant_2_personnel", contract_grant_id=grant, personnel_id=plan.id(number), role_type=role)
        tables.add("study_personnel", person_accession=plan.key("PERS", number), email=mail, first_name=first,
                   honorific="Dr.", last_name=last, organization="Institute of Demonstration", role_in_study=role,
                   site_name="Main site", study_accession=plan.accession, title_in_study=role,
                   workspace_id=plan.id(0))  # fmt: skip


def _samples(plan: StudyPlan, tables: Tables) -> list[dict[str, Any]]:
    """Arms, subjects, visits and the samples that were taken; the samples' rows, each with ``arm`` besides."""
    study, workspace, chance = plan.accession, plan.id(0), plan.random
    arms = [plan.key("ARM", number) for number in (1, 2)]
    for arm, (name, kind, _) in zip(arms, _ARMS, strict=True):
        tables.add("arm_or_cohort", arm_accession=arm, description=f"{name}, as allocated.", name=name,
                   study_accession=study, type=kind, workspace_id=workspace)  # fmt: skip
    period = plan.key("P", 1)
    tables.add("period", period_accession=period, name="Study", order_number=1, study_accession=study,
               workspace_id=workspace)  # fmt: skip
    visits = [(plan.key("PV", number), 28 * (number - 1)) for number in range(1, plan.visits + 1)]
    for number, (visit, day) in enumerate(visits, 1):
        tables.add("planned_visit", planned_visit_accession=visit, end_rule="", max_start_day=f"{day + 3}.00",
                   min_start_day=f"{day}.00", name=f"Day {day}", order_number=number, period_accession=period,
                   start_rule=f"Day {day} of the study", study_accession=study, workspace_id=workspace)  # fmt: skip
        for arm in arms:
            tables.add("planned_visit_2_arm", planned_visit_accession=visit, arm_accession=arm)
    tables.add("treatment", treatment_accession=plan.key("TRT", 1), amount_unit="ug", amount_value="1.00",
               comments="invented", duration_unit="Hours", duration_value="6", name="Stimulation",
               temperature_unit="C", temperature_value="37", workspace_id=workspace)  # fmt: skip
    samples: list[dict[str, Any]] = []
    for number in range(1, plan.subjects + 1):
        subject, arm = plan.key("SUB", number), arms[number % 2]
        age = f"{chance.randint(18, 65)}.00"
        tables.add("subject", subject_accession=subject, ancestral_population="European" if number % 3 == 0 else None,
                   description="An invented person.", ethnicity=_ETHNICITIES[number % 4 == 0],
                   gender=("Female", "Male")[chance.random() < 0.5], race=chance.choice(("White", "Asian", "Other")),
                   race_specify=None, species="Homo sapiens", workspace_id=workspace)  # fmt: skip
        tables.add("arm_2_subject", arm_accession=arm, subject_accession=subject, age_event="Age at enrollment",
                   age_unit="Years", max_subject_age=age, min_subject_age=age,
                   subject_phenotype=_ARMS[number % 2][2])  # fmt: skip
        for visit, day in visits:
            at = len(samples) + 1
            row = tables.add("biosample", biosample_accession=plan.key("BS", at), description=None,
                             name=f"sample {at}", planned_visit_accession=visit, study_accession=study,
                             study_time_collected=f"{day}.00", study_time_collected_unit="Days",
                             study_time_t0_event="Time of enrollment", subject_accession=subject,
                             subtype="cryopreserved" if at % 2 else None, type=("Serum", "PBMC")[at % 2],
                             workspace_id=workspace)  # fmt: skip
            samples.append({**row, "arm": arm})
            if at % 4 == 0:
                tables.add("biosample_2_treatment", biosample_accession=plan.key("BS", at),
                           treatment_accession=plan.key("TRT", 1))  # fmt: skip
    return samples
