"""Every rule of the validator with a bad example; nothing of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest
from tests.immport_upload import FILES, FLOW, HELP, SAMPLE_COLUMNS, SAMPLES, STUDY, SUBJECTS, sample, template

from packhorse.server.immport.sheets import looks_like_template, read_sheet
from packhorse.server.immport.validation import Verdict, validate


class Nothing:
    """A server with some vocabularies and one study, and an empty workspace."""

    def identifiers(self, table: str, ids: Iterable[str]) -> Mapping[str, str]:
        return {one: "SUB7" for one in ids if (table, one) == ("subject", "old mouse")}

    def accessions(self, table: str, values: Iterable[str]) -> frozenset[str]:
        return frozenset(values) & {"study": {"SDY1"}, "planned_visit": {"PV1"}, "subject": {"SUB7"}}.get(table, set())

    def terms(self, vocabulary: str) -> Sequence[str] | None:
        return {
            "lk_sample_type": ["Whole blood", "PBMC", "Other"],
            "lk_time_unit": ["Days", "Weeks", "Hours"],
            "lk_t0_event": ["Time of enrollment", "Other"],
            "lk_analyte": ["IFNG", "IL6"],
        }.get(vocabulary)


def judge(files: Mapping[str, str | bytes], more: Iterable[str] = ()) -> Verdict:
    contents = {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}
    sheets = [read_sheet(name, content) for name, content in contents.items()]
    return validate(
        sheets, {**{name: len(content) for name, content in contents.items()}, **dict.fromkeys(more, 1)}, Nothing()
    )


def errors(files: Mapping[str, str | bytes], more: Iterable[str] = ()) -> list[str]:
    return [f"{row.file_name}:{row.line}: {row.error}" for row in judge(files, more).rows if row.status == "Error"]


def some(*names: str) -> dict[str, str | bytes]:
    """Files of the small package."""
    return {name: FILES[name] for name in names}


def samples(*rows: list[str]) -> dict[str, str]:
    return {"bioSamples.txt": template("bioSamples", SAMPLE_COLUMNS, *rows)}


def alone(**changed: str) -> list[str]:
    """A sample that refers only to what the server holds."""
    return sample("one", "SUB7", **{"Study_ID": "SDY1", "Planned_Visit_ID": "PV1", **changed})


def test_the_small_package_is_good_and_makes_its_records() -> None:
    files = {name: content for name, content in FILES.items() if name not in ("flow_protocol.txt", "tube_1.fcs")}
    verdict = judge(files, ["flow_protocol.txt", "tube_1.fcs"])
    assert [row for row in verdict.rows if row.status == "Error"] == []
    made = [(one.table, one.identifier) for one in verdict.records]
    assert ("biosample", "blood 3") in made  # defined by the way
    assert made.count(("biosample", "blood 1")) == 1
    assert [one for one in made if one[0] == "experiment"] == [("experiment", "flow")]
    assert sum(table == "immune_exposure" for table, _ in made) == 1
    sample_3 = next(one for one in verdict.records if one.identifier == "blood 3")
    assert sample_3.values["type"] == "Whole blood"
    assert {(link.column, link.identifier) for link in sample_3.links} == {
        ("study_accession", "mouse study"), ("subject_accession", "mouse 2"), ("planned_visit_accession", "visit 7"),
    }  # fmt: skip
    assert verdict.used == {"flow_protocol.txt": "Stored in:protocols", "tube_1.fcs": "Stored in:file_info"}


def test_what_the_server_holds_may_be_referred_to() -> None:
    verdict = judge(samples(alone(), sample("two", "old mouse", Study_ID="SDY1", Planned_Visit_ID="PV1")))
    assert verdict.good
    assert [one.values["subject_accession"] for one in verdict.records] == ["SUB7", "SUB7"]


def test_terms_are_compared_without_case_and_stored_as_the_vocabulary_has_them() -> None:
    (made,) = judge(samples(alone(Type="whole BLOOD"))).records
    assert made.values["type"] == "Whole blood"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (alone(User_Defined_ID=""), "'User Defined ID' is empty; a value is required"),
        (alone(Study_Time_Collected="soon"), "'Study Time Collected' must be a number; it is 'soon'"),
        (alone(Study_Time_Collected="nan"), "must be a number"),
        (alone(Study_Time_Collected="1_0"), "must be a number"),
        (alone(Type="Whole bloot"), "'Whole bloot' is no term of lk_sample_type; near to it: Whole blood"),
        (alone(Type="Other"), "'Subtype' is empty; a value is required because 'Type' is 'Other'"),
        (alone(Study_ID="SDY2"), "'Study ID': 'SDY2' is neither an ID of a study"),
        (alone(Subject_ID="mouse 9"), "'mouse 9' is neither an ID of a subject"),
        (alone(User_Defined_ID="x" * 201), "has 201 characters; 200 are allowed"),
        (alone(Description="x" * 32_001), "characters"),
        ([*alone(), "more"], "more cells than there are column headers"),
    ],
)  # fmt: skip
def test_a_bad_value_is_told_with_its_line_and_column(row: list[str], words: str) -> None:
    (error,) = errors(samples(alone(User_Defined_ID="good"), row))
    assert error.startswith("bioSamples.txt:5: ")
    assert words in error


def test_an_id_twice_is_told_with_its_first_place() -> None:
    (error,) = errors(samples(alone(), alone()))
    assert "bioSamples.txt:5: the ID 'one' is there twice, first in line 4" in error
    twice = {**samples(alone()), "more.txt": template("bioSamples", SAMPLE_COLUMNS, alone())}
    (error,) = errors(twice)
    assert "more.txt:4: " in error
    assert "first in bioSamples.txt line 4" in error


def test_an_accession_cannot_be_an_id_of_ones_own() -> None:
    text = SUBJECTS.replace("mouse 1\t", "SUB7\t").replace("mouse 2\t", "old mouse\t")
    found = "\n".join(errors({**some("protocols.txt", "basic_study_design.txt"), "s.txt": text}, ["flow_protocol.txt"]))
    assert "SUB7 is an accession" in found
    assert "'old mouse' of 'Subject ID' is in the workspace already (SUB7)" in found


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("bioSamples\n" + HELP, 1, "the first line must be the template's name, a tab and 'Schema Version 3.36'"),
        ("bioSample\tSchema Version 3.36\n" + HELP, 1, "no template 'bioSample'; did you mean bioSamples"),
        ("bioSamples\tSchema Version 2.1\n" + HELP, 1, "schema version '2.1' is not known"),
        ("bioSamples\tSchema Version 3.36\n" + HELP, 3, "line 3 must hold the column headers"),
        (SAMPLES.replace("\tType\t", "\tTyp\t"), 3, "'Typ' is not known in this template; did you mean 'Type'"),
        (SAMPLES.replace("\tType\t", "\tSubtype\t"), 3, "'Subtype' is there twice"),
        (SAMPLES.replace("\n\tblood 1", "\nx\tblood 1"), 4, "the first cell of a data line must be empty"),
        (b"bioSamples\tSchema Version 3.36\n\xff\xfe", 2, "not UTF-8"),
        (SAMPLES.replace("blood 1", "blo\0od"), 4, "NUL"),
        (SAMPLES.replace("\tSubtype\t", "\tResult Separator Column\t"), 3, "has no 'Result Separator Column'"),
    ],
)  # fmt: skip
def test_a_broken_template_is_told_by_line(text: str | bytes, line: int, words: str) -> None:
    found = errors({"bioSamples.txt": text})
    assert any(words in one and one.startswith(f"bioSamples.txt:{line}: ") for one in found), found


def test_missing_columns_are_named() -> None:
    at = SAMPLE_COLUMNS.index("Type")
    columns, row = [one for one in SAMPLE_COLUMNS if one != "Type"], alone()
    (error,) = errors({"bioSamples.txt": template("bioSamples", columns, row[:at] + row[at + 1 :])})
    assert "the column 'Type' is missing" in error


def test_a_new_sample_by_the_way_needs_what_a_sample_needs() -> None:
    base = {
        name: FILES[name]
        for name in ("protocols.txt", "basic_study_design.txt", "subjectAnimals.txt", "bioSamples.txt")
    }
    text = FLOW.replace("\tmouse 2\tvisit 7\tWhole blood\t7\tDays\t", "\tmouse 2\t\tWhole blood\t7\tDays\t")
    found = errors({**base, "flow.txt": text}, ["flow_protocol.txt", "tube_1.fcs"])
    assert found == ["flow.txt:5: 'Planned Visit ID' is empty; a value is required for a new record"]
    text = FLOW.replace("Flow of blood", "")
    assert any(
        "'Experiment Name' is empty" in one
        for one in errors({**base, "flow.txt": text}, ["flow_protocol.txt", "tube_1.fcs"])
    )


def test_files_must_be_in_the_package_and_near_names_are_told() -> None:
    text = template("protocols", ["User Defined ID", "File Name", "Name"], ["p", "Protocol.pdf", "P"])
    (error,) = errors({"protocols.txt": text}, ["protocol.pdf"])
    assert "holds no file 'Protocol.pdf'; did you mean 'protocol.pdf'" in error


def test_rules_between_columns() -> None:
    columns = [
        "User Defined ID",
        "Name",
        "Use Treatment?",
        "Amount Value",
        "Amount Unit",
        "Duration Value",
        "Duration Unit",
    ]
    rows = (
        ["a", "A", "Yes", "", "", "", ""],
        ["b", "B", "Yes", "5", "", "", ""],
        ["c", "C", "Maybe", "", "", "", ""],
        ["d", "D", "no", "", "", "", ""],
    )
    found = errors({"treatments.txt": template("treatments", columns, *rows)})
    assert [one.partition(": ")[0] for one in found] == ["treatments.txt:4", "treatments.txt:5", "treatments.txt:6"]
    assert "an amount, a duration or a temperature is required" in found[0]
    assert "'Amount Value' and 'Amount Unit' go together" in found[1]
    assert "'Maybe' is no term of lk_yes_no" in found[2]
    text = STUDY.replace("\tvisit 7\tDay 7\t2\t7", "\tvisit 7\tDay 7\t-2\t7")
    assert any("'Order Number' must be a positive whole number" in one for one in errors({"s.txt": text}))
    text = SUBJECTS.replace("\t8\t9\t", "\t9\t8\t")
    assert any("'Min Subject Age' (9) is above 'Max Subject Age' (8)" in one for one in errors({"s.txt": text}))


@pytest.mark.parametrize("day", ["2019-03-05", "31-Feb-2019", "5-Mrz-19", "05/03/2019"])
def test_dates(day: str) -> None:
    assert any(
        "must be a date in the form dd-MMM-yyyy" in one for one in errors({"s.txt": STUDY.replace("05-Mar-2019", day)})
    )
    assert not any("date" in one for one in errors({"s.txt": STUDY.replace("05-Mar-2019", "5-mar-19")}))


def test_a_study_design_is_one_study() -> None:
    found = errors({"s.txt": STUDY.replace("\nstudy\n", "\narm_or_cohort\n")})
    assert any("is no column of the block arm_or_cohort" in one for one in found)
    assert any("before the first block's name" in one for one in errors({"s.txt": STUDY.replace("\nstudy\n", "\n")}))


def test_results_repeat_after_the_separator() -> None:
    columns = ["Study ID", "Expsample ID", "Biosample ID", "Experiment ID", "Result Separator Column"]
    group = ["Analyte Reported", "Value Reported", "Unit Reported"]
    base = {
        name: FILES[name]
        for name in ("protocols.txt", "basic_study_design.txt", "subjectAnimals.txt", "bioSamples.txt")
    }
    base["experiments.txt"] = template(
        "experiments", ["User Defined ID", "Name", "Measurement Technique", "Study ID", "Protocol ID(s)"],
        ["elisa", "ELISA", "ELISA", "mouse study", "flow protocol"],
    ).encode()  # fmt: skip
    row = ["mouse study", "well 1", "blood 1", "elisa", "", "IFNG", "1.50", "pg/ml", "IL6", "x", "pg/ml"]
    files = {**base, "e.txt": template("experimentSamples.ELISA", [*columns, *group, *group], row)}
    (error,) = errors(files, ["flow_protocol.txt"])
    assert error == "e.txt:4: 'Value Reported' must be a number; it is 'x'"
    row[9] = "2"
    verdict = judge(
        {**base, "e.txt": template("experimentSamples.ELISA", [*columns, *group, *group], row)}, ["flow_protocol.txt"]
    )
    results = [one for one in verdict.records if one.table == "elisa_result"]
    assert [one.values["value_reported"] for one in results] == ["1.50", "2"]
    assert [(link.column, link.identifier) for link in results[1].links] == [("expsample_accession", "well 1")]


def test_assessments_carry_their_panel_and_subject() -> None:
    columns = ["Subject ID", "Assessment Panel ID", "Study ID", "Name Reported", "Result Separator Column"]
    group = ["User Defined ID", "Planned Visit ID", "Name Reported", "Study Day"]
    row = ["SUB7", "panel 1", "SDY1", "Physical exam", "", "c1", "PV1", "Weight", "0", "c1", "PV1", "Height", "0"]
    (error,) = errors({"a.txt": template("assessments", [*columns, *group, *group], row)})
    assert "the ID 'c1' is there twice" in error
    row[9] = "c2"
    verdict = judge({"a.txt": template("assessments", [*columns, *group, *group], row)})
    assert verdict.good
    assert [(one.table, one.identifier) for one in verdict.records] == [
        ("assessment_panel", "panel 1"), ("assessment_component", "c1"), ("assessment_component", "c2"),
    ]  # fmt: skip
    assert verdict.records[1].values["subject_accession"] == "SUB7"
    assert verdict.records[1].links[0].identifier == "panel 1"


def test_many_errors_are_counted_not_listed() -> None:
    found = errors(samples(*(alone(User_Defined_ID=f"s{number}", Type="x") for number in range(1200))))
    assert len(found) == 1001
    assert "200 more errors are not shown" in found[-1]


def test_what_looks_like_a_template() -> None:
    assert looks_like_template("anything.txt", b"\xef\xbb\xbfbioSamples\tSchema Version 3.36\n")
    assert looks_like_template("BIOSAMPLES.TXT", b"")
    assert looks_like_template("t.json", b'{"schemaVersion": "3.36"')
    assert not looks_like_template("readme.txt", b"hello\nSchema Version")
    assert not looks_like_template("tube.fcs", b"FCS3.0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "must hold a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"name": "nonsense", "schemaVersion": "3.36"}', "no template 'nonsense'"),
        ('{"name": "treatments", "schemaVersion": "1"}', "schema version '1'"),
        ('{"name": "treatments", "schemaVersion": "3.36"}', "the member 'data' is missing"),
        ('{"name": "treatments", "schemaVersion": "3.36", "data": [3]}', "record 1 is not an object"),
        ('{"name": "treatments", "schemaVersion": "3.36", "data": [{"name": {"a": 1}}]}', "'name' must be one value"),
    ],
)  # fmt: skip
def test_broken_json(text: str, words: str) -> None:
    assert any(words in one for one in errors({"treatments.json": text})), errors({"treatments.json": text})
