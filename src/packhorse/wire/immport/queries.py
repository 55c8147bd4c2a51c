"""Every query of the Data Query API: its name here, its path, the shape of its answer (spec immport §2).

Names are the paths without ``api/`` and without accessions: ``result/elisa``, ``study/arm``, ``lookup/lkSex``,
``search/study``, ``ui/study/design``; the fourteen older lookups are ``lookup/lk_analyte`` and so on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from packhorse.errors import UsageError
from packhorse.wire.immport.models import MODELS, Model

__all__ = ["LOOKUPS", "QUERIES", "TYPOS", "Query", "Shape", "find_query"]

Shape = Literal["rows", "record", "texts", "hits", "page"]
"""A bare array of records; one object; an array of strings; a search answer; an object with rows in ``content``."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query. ``path`` is below ``/data/query``, with ``{studyAccession}`` and the like to be filled in."""

    name: str
    path: str
    shape: Shape
    model: Model | None = None

    @property
    def group(self) -> str:
        """``result``, ``study``, ``search``, ``lookup`` or ``ui``."""
        return self.name.partition("/")[0]

    @property
    def needs_token(self) -> bool:
        """Whether the service asks for a token: results and study data do."""
        return self.group in ("result", "study")

    @property
    def accessions(self) -> tuple[str, ...]:
        """The names of what the path has to be filled with.

        >>> QUERIES["ui/study/plannedvisit"].accessions
        ('studyAccession', 'pivotTable')
        """
        return tuple(re.findall(r"\{(\w+)\}", self.path))


_RESULTS: Final = """\
elisa VElisaResult
elispot VElispotResult
fcsAnalyzed VFcsAnalyzedResult
filePath VResultFilePath
hai VHaiResult
hlaTyping VHlaTypingResult
kirTyping VKirTypingResult
massSpectrometryResult MassSpectrometryResult
mbaa VMbaaResult
neutAbTiter VNeutAbTiterResult
pcr VPcrResult
"""

_STUDY: Final = """\
filePath StudyFileDetailsApi
filePath/protocolFiles StudyFileDetailsApi
filePath/resultFiles StudyFileDetailsApi
adverseEvent StudyAdverseEventApi
arm StudyArmApi
condition StudyConditionOrDiseaseApi
contract StudyContractProgramApi
experiment StudyExperimentApi
file StudyFileApi
filePath/studyFiles StudyFileDetailsApi
immuneExposure StudySubjectImmuneExposureApi
inclusionExclusion StudyInclusionExclusionApi
intervention StudySubjectInterventionApi
link StudyLinkApi
personnel StudyPersonnelApi
plannedVisit StudyPlannedVisitApi
protocol StudyProtocolApi
pubmed StudyPubmedApi
assessment StudySubjectAssessmentsApi
biosample StudySubjectBioSampleApi
demographic StudySubjectDemographicsApi
expsample StudySubjectExpSampleApi
labtest StudySubjectLabTestsApi
manifest FileDetails
"""

_UI: Final = """\
adverseevent/summary/{studyAccession} rows
adverseevent/detail/{studyAccession} rows
assessmentpanel/summary/{studyAccession} rows
intervention/summary/{studyAccession} rows
intervention/compoundrolesummary/{studyAccession}/{compoundRole} rows
intervention/compoundroledetail/{studyAccession}/{compoundRole} rows
labtestpanel/summary/{studyAccession} rows
resrcpgcnt/cntByPgmID rows
study/summary/{studyAccession} record
study/design/{studyAccession} record
study/studyfile/{studyAccession} rows
study/mechanisticAssay/{studyAccession} rows
experiment/mechanisticAssay/{experimentAccession} rows
study/labtestcomponent/{studyAccession} rows
study/assessmentcomponent/{studyAccession} rows
study/plannedvisit/{studyAccession}/{pivotTable} rows
study/findAllStudyAccessions record
subject/demographics/{studyAccession} rows
studydatarel/datarelver record
immune_exposure page
fcs_header/{studyAccession} page
fcs_header_marker/{studyAccession} page
reagent page
treatment page
study/downloadCount rows
expsample_public_repository page
"""

_LOOKUPS: Final = """\
lkAdverseEventSeverity lkAgeEvent lkAnalyte lkAncestralPopulation lkCellPopulation lkCellPopulationMarker
lkCompoundRole lkCriterionCategory lkDataCompleteness lkDisease lkDiseaseStage lkEthnicity lkExpMeasurementTech
lkExposureMaterial lkExposureProcess lkExpsampleResultSchema lkFileDetail lkSex lkHmdb lkLabTestName
lkLabTestPanelName lkLocusName lkMassSpectrometryType lkOrganization lkPersonnelRole lkPlateType lkProteinName
lkProtocolType lkPublicRepository lkRace lkReagentType lkResearchFocus lkSampleType lkSourceType lkSpecies
lkStudyFileType lkStudyPanel lkSubjectLocation lkT0Event lkTimeUnit lkTranscriptType lkUnitOfMeasure lkUserRoleType
lkVirusStrain lkVisibilityCategory
"""

LOOKUPS: Final = tuple(_LOOKUPS.split())
"""The controlled vocabularies, by the names of the current API."""

_OLDER: Final = """\
lk_analyte lk_disease lk_cell_population lk_cell_population_marker lk_exposure_material lk_exposure_process
lk_exp_measurement_tech lk_lab_test_name lk_lab_test_panel_name lk_sample_type lk_research_focus lk_time_unit
lk_virus_strain lk_unit_of_measure
"""

TYPOS: Final[Mapping[str, str]] = {
    "lk_exposure_materials": "lk_exposure_material",
    "lk_exposure_procees": "lk_exposure_process",
}
"""Older lookups as the documentation misspells them."""


def _all() -> dict[str, Query]:
    found: list[Query] = []
    for line in _RESULTS.splitlines():
        name, model = line.split()
        found.append(Query(f"result/{name}", f"result/{name}", "rows", MODELS[model]))
    by_study = "{studyAccession}"
    found.append(Query("study", f"api/study/{by_study}", "rows", MODELS["StudyApi"]))
    found.append(Query("study/summary", f"api/study/summary/{by_study}", "record", MODELS["StudySummary"]))
    found.append(Query("study/getRestrictedStudyAccessions", "api/study/getRestrictedStudyAccessions", "texts"))
    for line in _STUDY.splitlines():
        name, model = line.split()
        found.append(Query(f"study/{name}", f"api/study/{name}/{by_study}", "rows", MODELS[model]))
    for kind in ("study", "subject"):
        found.append(Query(f"search/{kind}", f"api/search/{kind}", "hits"))
        found.append(Query(f"search/{kind}/download", f"api/search/{kind}/download", "hits"))
    for name in LOOKUPS:
        model = "LkGender" if name == "lkSex" else f"Lk{name[2:]}"
        found.append(Query(f"lookup/{name}", f"api/lookup/{name}", "rows", MODELS[model]))
    found += [Query(f"lookup/{name}", name, "page") for name in _OLDER.split()]
    shapes: Mapping[str, Shape] = {"rows": "rows", "record": "record", "page": "page"}
    for line in _UI.splitlines():
        path, shape = line.split()
        name = re.sub(r"/\{\w+\}", "", path)
        found.append(Query(f"ui/{name}", f"ui/{path}", shapes[shape]))
    return {query.name: query for query in found}


QUERIES: Final[Mapping[str, Query]] = _all()
"""Every query by name."""


def find_query(name: str) -> Query:
    """The query that a person means: its name, or the end of it where only one group has it (results come first).

    Raises :class:`UsageError` with near names.

    >>> find_query("elisa").name, find_query("arm").name, find_query("lkSex").name
    ('result/elisa', 'study/arm', 'lookup/lkSex')
    """
    wanted = name.strip().strip("/")
    by_case = {known.lower(): known for known in QUERIES}
    for group in ("", "result/", "study/", "lookup/", "ui/", "search/"):
        known = by_case.get(f"{group}{wanted}".lower())
        if known is not None:
            return QUERIES[known]
    ends = {known.partition("/")[2] or known for known in QUERIES}
    near = difflib.get_close_matches(wanted, sorted(ends | set(QUERIES)), n=3, cutoff=0.6)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"ImmPort has no query {name!r}{meant}", hint="packhorse query --list")
