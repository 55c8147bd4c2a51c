"""Templates, tickets and reports: what is written can be read, and what others write too."""

from __future__ import annotations

import datetime as dt

import pytest

from packhorse.errors import ProtocolError
from packhorse.wire.immport import reports
from packhorse.wire.immport.release import TABLES
from packhorse.wire.immport.reports import ResultRow, Section
from packhorse.wire.immport.templates import PREFIXES, TEMPLATES, find_template, json_template, text_template

AT = dt.datetime(2026, 1, 5, 13, 4, 5, tzinfo=dt.UTC)
ROWS = (
    ResultRow("Parsing", "a.txt", None, None, "Template: a.txt, Size:3 bytes"),
    ResultRow("Error", "a.txt", 4, "a tab\tand a\nline", None),
    ResultRow("Rejected", "t___a.zip"),
)


def test_a_validation_report_reads_back() -> None:
    text = reports.validation_report(7, AT, "t___a.zip", ROWS)
    lines = text.split("\n")
    assert lines[1] == "The validation report was generated on 2026-01-05-13:04:05."
    assert lines[4].split("\t") == ["File Name", "Line Number", "Status", "Error Message", "Description"]
    found = reports.parse_validation_report(text)
    assert found[0] == ROWS[0]
    assert found[1] == ResultRow("Error", "a.txt", 4, "a tab and a line", None)
    assert reports.parse_validation_report(text.replace("\n", "\r\n")) == found


def test_a_batch_report_reads_back_without_what_was_stored() -> None:
    stored = Section("u.txt", ("biosample_accession", "name"), (("BS1", "A"),))
    text = reports.batch_report(7, AT, "t___u.txt", ROWS[:2], stored)
    found = reports.parse_validation_report(text)
    assert [row.status for row in found] == ["Parsing", "Error"]
    assert "BS1\tA" in text
    assert "Report is Empty" in reports.batch_report(7, AT, "t___u.txt", ROWS, None)


def test_an_upload_report_reads_back() -> None:
    section = Section(
        "b.txt", ("USER_DEFINED_ID", "BIOSAMPLE_ACCESSION", "NAME"), (("s 1", "BS1", ""), ("s 2", "BS2", "n" * 99))
    )
    text = reports.upload_report(
        workspace=7, workspace_name="W", ticket="t_20260105_1", submitter="Ada", username="ada", submitted=AT, at=AT,
        package="p.zip", size=9, method="Secure Web", sections=[section], files=[("Parsed", 3, "b.txt", "-")],
        counts={"biosample": 2}, results=5,
    )  # fmt: skip
    assert "SUBMISSION DATE/TIME:        05-JAN-2026 01:04:05 PM\r\n" in text
    first, files = reports.parse_upload_report(text)
    assert first.rows == (("s 1", "BS1", "-"), ("s 2", "BS2", "n" * 40))
    assert (files.file_name, files.rows) == ("", (("Parsed", "3", "b.txt", "-"),))


@pytest.mark.parametrize("body", [None, [], {}, {"summary": 3}, {"summary": {"uploadRegistrationResults": "x"}}])
def test_what_is_no_summary(body: object) -> None:
    with pytest.raises(ProtocolError):
        reports.parse_summary(body)


def test_a_summary_of_odd_members_is_read_as_far_as_it_goes() -> None:
    rows = [{"status": "Error", "lineNumber": True, "fileName": None, "errorMessage": 5}, "nonsense", {}]
    status, found = reports.parse_summary({"summary": {"status": "Rejected", "uploadRegistrationResults": rows}})
    assert status == "Rejected"
    assert found[0] == ResultRow("Error", "", None, "5", None)
    assert len(found) == 2


@pytest.mark.parametrize("text", ["", "nonsense", "SUBMISSION\nFILENAME: x", "a\tb\tc\td\te\n" * 3])
def test_what_is_no_report(text: str) -> None:
    with pytest.raises(ProtocolError):
        reports.parse_validation_report(text)
    with pytest.raises(ProtocolError):
        reports.parse_upload_report(text)


def test_every_documented_template_is_there_and_sound() -> None:
    names = [
        "adverseEvents",
        "assessments",
        "basic_study_design",
        "study_design_edit",
        "bioSamples",
        "controlSamples",
        "experiments",
        "immuneExposure",
        "interventions",
        "labTests",
        "labTestPanels",
        "labTest_Results",
        "protocols",
        "publicRepositories",
        "Reagent_Sets",
        "standardCurves",
        "subjectHumans",
        "subjectAnimals",
        "treatments",
        "experimentSamples.ELISA",
        "experimentSamples.Flow_Cytometry",
        "experimentSamples.QRT-PCR",
        "experimentSamples.Mass_Spectrometry_Proteomics",
        "reagents.MBAA",
        "ELISA_Results",
        "HAI_Results",
        "experimentSamples.Virus_Neutralization",
    ]
    assert set(names) <= set(TEMPLATES)
    for template in TEMPLATES.values():
        assert find_template(template.title) is template
        for block in template.blocks:
            for columns in (block.columns, block.results):
                assert len({column.name for column in columns}) == len(columns), (template.name, block.name)
                assert len({column.attribute for column in columns}) == len(columns), (template.name, block.name)
                by_name = {column.name for column in columns}
                for column in columns:
                    assert column.when is None or column.when[0] in by_name, column
                    assert column.reference in ("", *PREFIXES), column
                    assert not column.vocabulary or column.vocabulary.startswith("lk_"), column
                    assert column.help.endswith(".")
        lines = text_template(template).splitlines()
        assert lines[0] == f"{template.name}\tSchema Version 3.36"
        json_template(template, {})


def test_tables_of_templates_are_those_of_releases() -> None:
    later = {"study_2_condition_or_disease", "mass_spectrometry_result"}  # newer than release 25
    tables = {block.table for template in TEMPLATES.values() for block in template.blocks}
    assert tables - later <= set(TABLES)
