"""The record models of the Data Query API: their members in order, and the types of those (spec immport, appendix).

The order is that of the JSON members and of the TSV columns. Misspelt and snake_case members are as the service has
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

__all__ = ["MODELS", "Kind", "Member", "Model"]

Kind = Literal["text", "integer", "number", "timestamp", "record", "records"]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a record. ``model`` names the model of a nested record (``record``) or of a list (``records``)."""

    name: str
    kind: Kind = "text"
    model: str = ""


@dataclass(frozen=True)
class Model:
    """A record model."""

    name: str
    members: tuple[Member, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The members' names, in order.

        >>> MODELS["LkTimeUnit"].names
        ('name', 'description', 'link')
        """
        return tuple(member.name for member in self.members)

    def __getitem__(self, name: str) -> Member:
        """The member of that name. Raises :class:`KeyError`."""
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)


_TABLE: Final = """\
StudySubjectDemographicsApi: studyAccession briefTitle armAccession armName armDescription armTypeReported
  armTypePreferred subjectAccession ageEvent ageEventSpecify ageUnit maxSubjectAge:n minSubjectAge:n
  subjectPhenotype subjectLocation max_subject_age_in_years min_subject_age_in_years ancestral_population
  subjectDescription ethnicity gender race raceSpecify species strain strain_characteristics
FileDetails: fileDetailsId:n reportedMD5 generatedMD5 studyAccession filesizeBytes:i fileType fileAccession fileName
  path dateFileUpdated:d fileUUID drsObjectCreated workspaceId:i aigeneratedKeywords aigeneratedSummary
FileDownloadURL: message url status:n
LkAnalyte: analyteAccession geneSymbol geneAliases geneId geneticNomenclatureId immunologySymbol link
  officialGeneName proteinOntologyId proteinOntologyName proteinOntologySynonyms taxonomyId uniprotEntry
  uniprotEntryName
LkAncestralPopulation: name abbreviation description link
LkCellPopulation: name comments definition description link
LkDataCompleteness: id:i description
LkDisease: name description link diseaseOntologyId
LkExposureMaterial: name description link exposureMaterialId
LkExpsampleResultSchema: name description tableName
LkHmdb: hmdbId name description link
LkLabTestName: name cdiscLabTestCode description labTestPanelName link
LkOrganization: name link
LkProteinName: name uniprot_id uniprot_gene_name description link
LkSpecies: name commonName link taxonomyId
LkStudyPanel: name collapsible description displayName sortOrder:i visible
LkUnitOfMeasure: name description link type
LkUserRoleType: name description
LkVirusStrain: name centerIdNameSeasonList description link seasonList taxonomyId:i virusName
LkVisibilityCategory: name description
MassSpectrometryResult: resultId:i armAccession biosampleAccession comments databaseIdPreferred databaseIdReported
  experimentAccession expsampleAccession intensity:n massSpectrometryType metaboliteNamePreferred
  metaboliteNameReported proteinNamePreferred proteinNameReported repositoryAccession repositoryName retentionTime:n
  retentionTimeUnit studyAccession studyTimeCollected:n studyTimeCollectedUnit subjectAccession workspaceId:i
  zcharge mzratio:n
ResultFilePath: filePathId fileInfoId:i fileDetail filesizeBytes:i fileName originalFileName sourceType
  sourceAccession experimentAccession measurementTechnique studyAccession clinical studyTitle biosampleAccession
  biosampleType biosampleSubtype studyTimeCollected:n studyTimeCollectedUnit studyTimeT0Event
  studyTimeT0EventSpecify plannedVisitAccession subjectAccession ethnicity gender race raceSpecify species strain
  armAccession armName ageEvent ageEventSpecify ageUnit maxSubjectAge:n minSubjectAge:n subjectPhenotype filePath
StudyAdverseEventApi: adverseEventAccession studyAccession subjectAccession causality description endStudyDay:n
  endTime locationOfReactionPreferred locationOfReactionReported namePreferred nameReported
  organOrBodySystemPreferred organOrBodySystemReported otherActionTaken outcomePreferred outcomeReported
  relationToNonstudyTreatment relationToStudyTreatment severityReported severityPreferred startStudyDay:n startTime
  studyTreatmentActionTaken
StudyApi: studyAccession actualCompletionDate actualEnrollment:i actualStartDate ageUnit briefDescription briefTitle
  clinicalTrial description dclId:i doi endpoints genderIncluded hypothesis initialDataReleaseDate
  initialDataReleaseVersion interventionAgent latestDataReleaseDate latestDataReleaseVersion maximumAge minimumAge
  objectives officialTitle sharedStudy sponsoringOrganization targetEnrollment:i
StudyArmApi: armAccession studyAccession description name typeReported typePreferred
StudyConditionOrDiseaseApi: studyAccession conditionReported conditionPreferred
StudyContractProgramApi: studyAccession contractGrantId:i contractGrantCategory contractGrantDescription
  contractGrantEndDate externalId contractGrantLink contractGrantName contractGrantStartDate programId:i
  programCategory programDescription programEndDate programLink programName programShortName programStartDate
StudyExperimentApi: experimentAccession studyAccession measurementTechnique description name
StudyFileApi: studyFileAccession studyAccession studyFileType description fileName
StudyFileDetailsApi: fileDetailsId:n generatedMD5 studyAccession fileType fileAccession fileName path
StudyInclusionExclusionApi: criterionAccession criterionCategory criterion
StudyLink: studyLinkId:i name type value
StudyLinkApi: studyLinkId:i studyAccession name type value
StudyPersonnel: personAccession roleInStudy siteName email firstName honorific lastName organization suffixes
  titleInStudy workspaceId:i
StudyPersonnelApi: personAccession studyAccession roleInStudy siteName email firstName honorific lastName
  organization suffixes titleInStudy
StudyPlannedVisitApi: plannedVisitAccession studyAccession endRule maxStartDay:n minStartDay:n name orderNumber:i
  startRule
StudyProtocolApi: studyAccession protocolAccession type description fileName name originalFileName
StudyPubmed: id:StudyPubmedId authors doi issue journal month pages title year
StudyPubmedApi: pubmedId studyAccession authors doi issue journal month pages title year
StudyPubmedId: studyAccession pubmedId
StudySubjectAssessmentsApi: @StudySubjectDemographicsApi assessmentPanelAccession assessmentType
  assessmentPanelNamePreferred assessmentPanelNameReported resultSchema status assessmentComponentAccession
  ageAtOnsetPreferred ageAtOnsetReported ageAtOnsetUnitPreferred ageAtOnsetUnitReported isClinicallySignificant
  locationOfFindingPreferred locationOfFindingReported assessmentComponentNamePreferred
  assessmentComponentNameReported organOrBodySystemPreferred organOrBodySystemReported plannedVisitAccession
  referenceRangeAccession resultUnitPreferred resultUnitReported resultValueCategory resultValuePreferred
  resultValueReported studyDay subjectPositionPreferred subjectPositionReported timeOfDay verbatimQuestion
  whoIsAssessed
StudySubjectBioSampleApi: @StudySubjectDemographicsApi biosampleAccession plannedVisitAccession biosampleName type
  subtype
StudySubjectExpSampleApi: @StudySubjectDemographicsApi biosampleAccession plannedVisitAccession biosampleName type
  subtype experimentAccession measurementTechnique experimentName expsampleAccession expsampleName resultSchema
StudySubjectImmuneExposureApi: @StudySubjectDemographicsApi exposureAccession diseaseOntologyId diseasePreferred
  diseaseReported diseaseStagePreferred diseaseStageReported exposureMaterialId exposureMaterialPreferred
  exposureMaterialReported exposureProcessPreferred exposureProcessReported
StudySubjectInterventionApi: @StudySubjectDemographicsApi interventionAccession compoundNameReported compoundRole
  dose doseFreqPerInterval doseReported doseUnits duration durationUnit endDay endTime formulation isOngoing
  namePreferred nameReported reportedIndication routeOfAdminPreferred routeOfAdminReported startDay startTime status
StudySubjectLabTestsApi: @StudySubjectDemographicsApi labTestPanelAccession labTestPanelNamePreferred
  labTestPanelNameReported labTestAccession biosampleAccession labTestNamePreferred labTestNameReported
  resultUnitPreferred resultUnitReported resultValuePreferred:n resultValueReported plannedVisitAccession
StudySummary: studyAccession doi title pi conditionStudied researchFocus briefDescription startDate
  detailedDescription objectives endpoints genderIncluded sexIncluded subjectsNumber:i downloadPackages
  contractGrant program dataCompleteness hypothesis sharedStudy interventionAgent initialDataReleaseDate
  initialDataReleaseVersion latestDataReleaseDate latestDataReleaseVersion studyLinks:array<StudyLink>
  studyPubmeds:array<StudyPubmed> studyPersonnel:array<StudyPersonnel>
VElisaResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation analyteAccession analytePreferred
  analyteReported armAccession armName biosampleAccession biosampleType biosampleSubtype clinical comments ethnicity
  experimentAccession expsampleAccession gender maxSubjectAge:n measurementTechnique minSubjectAge:n
  plannedVisitAccession race raceSpecify repositoryAccession repositoryName species strain studyAccession studyTitle
  studyTimeCollected:n studyTimeCollectedUnit subjectAccession subjectPhenotype unitPreferred unitReported
  valuePreferred:n valueReported treatmentAccession studyTimeT0EventSpecify studyTimeT0Event
VElispotResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation analyteAccession analytePreferred
  analyteReported armAccession armName biosampleAccession biosampleType biosampleSubtype cellNumberPreferred:n
  cellNumberReported clinical comments ethnicity experimentAccession expsampleAccession gender maxSubjectAge:n
  measurementTechnique minSubjectAge:n plannedVisitAccession race raceSpecify repositoryAccession repositoryName
  species spotNumberPreferred:n spotNumberReported strain studyAccession studyTitle studyTimeCollected:n
  studyTimeCollectedUnit studyTimeT0Event studyTimeT0EventSpecify subjectAccession subjectPhenotype
  treatmentAccession
VFcsAnalyzedResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation armAccession armName
  biosampleAccession biosampleType biosampleSubtype clinical comments ethnicity experimentAccession
  expsampleAccession gender maxSubjectAge:n measurementTechnique minSubjectAge:n parentPopulationPreferred
  parentPopulationReported populationDefnitionPreferred populationDefnitionReported populationNamePreferred
  populationNameReported populationStatUnitPreferred populationStatUnitReported populationStatisticPreferred:n
  populationStatisticReported plannedVisitAccession race raceSpecify repositoryAccession repositoryName species
  strain studyAccession studyTitle studyTimeCollected:n studyTimeCollectedUnit studyTimeT0Event
  studyTimeT0EventSpecify subjectAccession subjectPhenotype workspaceFileInfoId:i treatmentAccession
VHaiResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation armAccession armName biosampleAccession
  biosampleType biosampleSubtype clinical comments ethnicity experimentAccession expsampleAccession gender
  maxSubjectAge:n measurementTechnique minSubjectAge:n plannedVisitAccession race raceSpecify repositoryAccession
  repositoryName species strain studyAccession studyTitle studyTimeCollected:n studyTimeCollectedUnit
  studyTimeT0Event studyTimeT0EventSpecify subjectAccession subjectPhenotype unitPreferred unitReported
  valuePreferred:n valueReported virusStrainPreferred virusStrainReported treatmentAccession
VHlaTypingResult: resultId:i allele1 allele2 ageEvent ageEventSpecify ageUnit ancestralPopulation armAccession
  armName biosampleAccession biosampleType biosampleSubtype clinical comments ethnicity experimentAccession
  expsampleAccession gender locusName maxSubjectAge:n measurementTechnique minSubjectAge:n plannedVisitAccession
  race raceSpecify repositoryAccession repositoryName resultSetId:i species strain studyAccession studyTitle
  studyTimeCollected:n studyTimeCollectedUnit studyTimeT0Event studyTimeT0EventSpecify subjectAccession
  subjectPhenotype treatmentAccession
VKirTypingResult: resultId:i allele1 allele2 ageEvent ageEventSpecify ageUnit ancestralPopulation armAccession
  armName biosampleAccession biosampleType biosampleSubtype clinical comments ethnicity experimentAccession
  expsampleAccession gender kirHaplotype maxSubjectAge:n measurementTechnique minSubjectAge:n plannedVisitAccession
  race raceSpecify repositoryAccession repositoryName species strain studyAccession studyTitle studyTimeCollected:n
  studyTimeCollectedUnit studyTimeT0Event studyTimeT0EventSpecify subjectAccession subjectPhenotype
  treatmentAccession
VMbaaResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation analyteAccession analytePreferred
  analyteReported armAccession armName assayGroupId assayId biosampleAccession biosampleType biosampleSubtype
  clinical comments concentrationUnitPreferred concentrationUnitReported concentrationValuePreferred:n
  concentrationValueReported ethnicity experimentAccession gender maxSubjectAge:n measurementTechnique mfi
  mfiCoordinate minSubjectAge:n plannedVisitAccession race raceSpecify repositoryAccession repositoryName species
  strain studyAccession studyTitle studyTimeCollected:n studyTimeCollectedUnit studyTimeT0Event
  studyTimeT0EventSpecify sourceAccession sourceType subjectAccession subjectPhenotype treatmentAccession
VNeutAbTiterResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation armAccession armName
  biosampleAccession biosampleType biosampleSubtype clinical comments ethnicity experimentAccession
  expsampleAccession gender maxSubjectAge:n measurementTechnique minSubjectAge:n plannedVisitAccession race
  raceSpecify repositoryAccession repositoryName species strain studyAccession studyTitle studyTimeCollected:n
  studyTimeCollectedUnit studyTimeT0Event studyTimeT0EventSpecify subjectAccession subjectPhenotype unitPreferred
  unitReported valuePreferred:n valueReported virusStrainPreferred virusStrainReported treatmentAccession
VPcrResult: resultId:i ageEvent ageEventSpecify ageUnit ancestralPopulation armAccession armName biosampleAccession
  biosampleType biosampleSubtype clinical comments ethnicity experimentAccession expsampleAccession gender geneId
  geneName analyteAccession geneSymbolReported geneSymbolPreferred maxSubjectAge:n measurementTechnique
  minSubjectAge:n otherGeneAccession plannedVisitAccession race raceSpecify repositoryAccession repositoryName
  species strain studyAccession studyTitle studyTimeCollected:n studyTimeCollectedUnit studyTimeT0Event
  studyTimeT0EventSpecify subjectAccession subjectPhenotype unitPreferred unitReported valuePreferred:n
  valueReported treatmentAccession
VResultFilePath: filePathId fileInfoId:i fileDetail filesizeBytes:i fileName originalFileName sourceType
  sourceAccession experimentAccession measurementTechnique studyAccession clinical studyTitle biosampleAccession
  biosampleType biosampleSubtype studyTimeCollected:n studyTimeCollectedUnit studyTimeT0Event
  studyTimeT0EventSpecify plannedVisitAccession subjectAccession ethnicity gender race raceSpecify species strain
  armAccession armName ageEvent ageEventSpecify ageUnit maxSubjectAge:n minSubjectAge:n subjectPhenotype filePath
"""
"""A model a line; ``:i`` integer, ``:n`` number, ``:d`` timestamp, else text; ``@`` begins with another's members."""

_NAMED: Final = """\
LkAdverseEventSeverity LkAgeEvent LkCellPopulationMarker LkCompoundRole LkCriterionCategory LkDiseaseStage
LkEthnicity LkExpMeasurementTech LkExposureProcess LkFileDetail LkGender LkLabTestPanelName LkLocusName
LkMassSpectrometryType LkPersonnelRole LkPlateType LkProtocolType LkPublicRepository LkRace LkReagentType
LkResearchFocus LkSampleType LkSourceType LkStudyFileType LkSubjectLocation LkT0Event LkTimeUnit LkTranscriptType
"""
"""Lookup models of name, description and link."""

_KINDS: Final[Mapping[str, Kind]] = {"": "text", "i": "integer", "n": "number", "d": "timestamp"}


def _member(word: str) -> Member:
    name, _, mark = word.partition(":")
    if mark in _KINDS:
        return Member(name, _KINDS[mark])
    if mark.startswith("array<"):
        return Member(name, "records", mark.removeprefix("array<").removesuffix(">"))
    return Member(name, "record", mark)


def _parsed() -> dict[str, Model]:
    found: dict[str, Model] = {}
    for line in _TABLE.replace("\n  ", " ").splitlines():
        name, _, words = line.partition(": ")
        members: list[Member] = []
        for word in words.split():
            if word.startswith("@"):
                members += found[word[1:]].members
            else:
                members.append(_member(word))
        found[name] = Model(name, tuple(members))
    for name in _NAMED.split():
        found[name] = Model(name, (Member("name"), Member("description"), Member("link")))
    return found


MODELS: Final[Mapping[str, Model]] = _parsed()
"""Every record model by name."""
