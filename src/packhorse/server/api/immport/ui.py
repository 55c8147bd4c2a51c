"""Study metadata for the web interface, without a token (spec immport §2.7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.immport.core import Context, Refusal, check_study_access, endpoint
from packhorse.server.api.immport.pages import answer_page, page_asked
from packhorse.server.api.immport.results import PREFIXES
from packhorse.server.api.immport.rows import answer_list, answer_value, wants_tsv
from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.immport import uidata
from packhorse.server.immport.access import visible_studies
from packhorse.server.immport.summaries import study_summary
from packhorse.wire.immport.models import Member

__all__ = ["routes"]

_PAGE: Final = 1000
_LARGEST: Final = 10_000
Rows = list[dict[str, Any]]


def _answer(ctx: Context, found: Rows) -> ASGIApp:
    if not wants_tsv(ctx.request):
        return answer_value(found)
    names = list(found[0]) if found else []
    return answer_list(ctx, [Member(name) for name in names], ([row[name] for name in names] for row in found))


def _of_study(name: str) -> Callable[[Context], ASGIApp]:
    rows = uidata.OF_STUDY[name]
    return lambda ctx: _answer(ctx, rows(ctx.session, check_study_access(ctx, ctx.path("study"))))


def _interventions(detail: bool) -> Callable[[Context], ASGIApp]:
    def made(ctx: Context) -> ASGIApp:
        study, role = check_study_access(ctx, ctx.path("study")), ctx.path("role").replace("\0", "")
        return _answer(ctx, uidata.interventions(ctx.session, study, role, detail=detail))

    return made


def _summary(ctx: Context) -> ASGIApp:
    return answer_value(study_summary(ctx.session, check_study_access(ctx, ctx.path("study"))))


def _design(ctx: Context) -> ASGIApp:
    return answer_value(uidata.design(ctx.session, check_study_access(ctx, ctx.path("study"))))


def _experiment(ctx: Context) -> ASGIApp:
    accession = ctx.path("experiment").strip().upper()
    if not re.fullmatch(r"EXP[0-9]{1,12}", accession, re.ASCII):
        raise Refusal(400, f"{ctx.path('experiment')[:60]!r} is no experiment accession: it is EXP and digits")
    found = uidata.experiment_samples(ctx.session, _studies(ctx), accession)
    if found is None:
        raise Refusal(404, f"There is no experiment {accession} on this server")
    return _answer(ctx, found)


def _visits(ctx: Context) -> ASGIApp:
    study = check_study_access(ctx, ctx.path("study"))
    pivot = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", ctx.path("pivot")).lower()
    known = {name.replace("_", ""): name for name in uidata.PIVOTS}
    table = known.get(pivot.replace("_", ""))
    if table is None:
        raise Refusal(400, f"Planned visits are counted by {', '.join(uidata.PIVOTS)}, not {pivot[:60]!r}")
    return _answer(ctx, uidata.planned_visits(ctx.session, study, table))


def _studies(ctx: Context) -> list[Study]:
    asked = select(Study).where(visible_studies(ctx.session, ctx.caller)).order_by(Study.number)
    return list(ctx.session.scalars(asked))


def _accessions(ctx: Context) -> ASGIApp:
    return answer_value({"studyAccessions": [study.accession for study in _studies(ctx)]})


def _release(ctx: Context) -> ASGIApp:
    """The newest data release that a study here is of."""
    table = RELEASE["study"]
    asked = select(table.c.latest_data_release_version, table.c.latest_data_release_date).join(
        Study, and_(Study.package_id == table.c.package_id, Study.accession == table.c.study_accession)
    )
    newest = max(
        ctx.session.execute(asked.where(visible_studies(ctx.session, ctx.caller))).all(),
        key=lambda row: [int(part) for part in re.findall(r"[0-9]{1,9}", row[0] or "")],
        default=(None, None),
    )
    return answer_value({"dataReleaseVersion": newest[0], "dataReleaseDate": newest[1]})


def _programs(ctx: Context) -> ASGIApp:
    """How many studies and contracts the programs have."""
    wanted = [part.strip() for text in ctx.request.query_params.getlist("programIds") for part in text.split(",")]
    wanted = [part for part in wanted if part]
    if not all(part.isascii() and part.isdigit() for part in wanted) or len(wanted) > _LARGEST:
        raise Refusal(400, "programIds is a list of numbers: programIds=19,20")
    program, grant, link = (RELEASE[name] for name in ("program", "contract_grant", "contract_grant_2_study"))
    asked = (
        select(
            program.c.program_id,
            func.min(program.c.name).label("name"),
            func.count(link.c.study_accession.distinct()).label("study_count"),
            func.count(grant.c.contract_grant_id.distinct()).label("contract_grant_count"),
        )
        .join(grant, _pair(grant, program, "program_id"))
        .join(link, _pair(link, grant, "contract_grant_id"))
        .join(Study, and_(Study.package_id == program.c.package_id, Study.accession == link.c.study_accession))
        .where(visible_studies(ctx.session, ctx.caller))
        .group_by(program.c.program_id)
        .order_by(program.c.program_id)
    )
    if wanted:
        asked = asked.where(program.c.program_id.in_(wanted[:_LARGEST]))
    return _answer(ctx, uidata.records(ctx.session, asked))


def _pair(one: Any, other: Any, column: str) -> ColumnElement[bool]:
    return and_(one.c.package_id == other.c.package_id, one.c[column] == other.c[column])


def _downloads(ctx: Context) -> ASGIApp:
    """Downloads are not counted here, so their number is null: nobody's figure is made up."""
    named = [part.strip() for text in ctx.request.query_params.getlist("studyAccession") for part in text.split(",")]
    seen = [study.accession for study in _studies(ctx)]
    shown = [accession for accession in seen if not any(named) or accession in {each.upper() for each in named}]
    return _answer(ctx, [{"studyAccession": accession, "downloadCount": None} for accession in shown])


def _page(ctx: Context, asked: Select[Any], order: Any) -> ASGIApp:
    page, size = page_asked(ctx, _PAGE, _LARGEST)
    total = ctx.session.scalar(select(func.count()).select_from(asked.order_by(None).subquery())) or 0
    part = uidata.records(ctx.session, asked.order_by(*order).offset(page * size).limit(size))
    return answer_page(part, total, page, size)


def _of_one(name: str) -> Callable[[Context], ASGIApp]:
    """FCS headers and their markers, by the experiments of the study."""

    def made(ctx: Context) -> ASGIApp:
        study = check_study_access(ctx, ctx.path("study"))
        header, sample, experiment = RELEASE["fcs_header"], RELEASE["expsample"], RELEASE["experiment"]
        table = RELEASE[name]
        asked = select(*uidata.columns(table))
        if name != "fcs_header":
            asked = asked.join(header, _pair(header, table, "fcs_header_id"))
        asked = asked.join(sample, _pair(sample, header, "expsample_accession")).join(
            experiment, _pair(experiment, sample, "experiment_accession")
        )
        mine = asked.where(table.c.package_id == study.package_id, experiment.c.study_accession == study.accession)
        return _page(ctx, mine, (table.c.line,))

    return made


def _of_all(name: str, key: str) -> Callable[[Context], ASGIApp]:
    """Rows of a table that has no study of its own, from the packages of the studies that may be seen."""

    def made(ctx: Context) -> ASGIApp:
        table = RELEASE[name]
        seen = _studies(ctx)
        packages = {study.package_id for study in seen}
        asked = select(*uidata.columns(table)).where(table.c.package_id.in_(packages))
        hidden = ctx.session.scalar(select(func.count()).where(Study.package_id.in_(packages))) != len(seen)
        if hidden:  # a package of several studies, some of which are restricted
            asked = asked.where(or_(*_linked(name, key, {study.accession for study in seen})))
        return _page(ctx, asked, (table.c.package_id, table.c.line))

    return made


def _linked(name: str, key: str, accessions: set[str]) -> list[ColumnElement[bool]]:
    """That a row belongs to one of the studies, by what links it with a sample or an arm."""
    table, sample, experiment = RELEASE[name], RELEASE["expsample"], RELEASE["experiment"]
    if name == "immune_exposure":
        arm = RELEASE["arm_or_cohort"]
        of_arm = select(arm.c.line).where(_pair(arm, table, "arm_accession"), arm.c.study_accession.in_(accessions))
        return [of_arm.exists()]
    links = [table] if name.startswith("expsample") else [RELEASE[f"expsample_2_{name}"]]
    found: list[ColumnElement[bool]] = []
    for link in links:
        asked = (
            select(link.c.line)
            .join(sample, _pair(sample, link, "expsample_accession"))
            .join(experiment, _pair(experiment, sample, "experiment_accession"))
            .where(experiment.c.study_accession.in_(accessions))
        )
        if link is table:
            sampled = select(sample.c.line).join(experiment, _pair(experiment, sample, "experiment_accession"))
            found.append(
                sampled.where(
                    _pair(sample, table, "expsample_accession"), experiment.c.study_accession.in_(accessions)
                ).exists()
            )
        else:
            found.append(asked.where(_pair(link, table, key)).correlate(table).exists())
    return found


_HANDLERS: Final[dict[str, Callable[[Context], ASGIApp]]] = {
    **{f"{name}/{{study}}": _of_study(name) for name in uidata.OF_STUDY},
    "intervention/compoundrolesummary/{study}/{role}": _interventions(False),
    "intervention/compoundroledetail/{study}/{role}": _interventions(True),
    "resrcpgcnt/cntByPgmID": _programs,
    "study/summary/{study}": _summary,
    "study/design/{study}": _design,
    "experiment/mechanisticAssay/{experiment}": _experiment,
    "study/plannedvisit/{study}/{pivot}": _visits,
    "study/findAllStudyAccessions": _accessions,
    "studydatarel/datarelver": _release,
    "immune_exposure": _of_all("immune_exposure", "exposure_accession"),
    "fcs_header/{study}": _of_one("fcs_header"),
    "fcs_header_marker/{study}": _of_one("fcs_header_marker"),
    "reagent": _of_all("reagent", "reagent_accession"),
    "treatment": _of_all("treatment", "treatment_accession"),
    "study/downloadCount": _downloads,
    "expsample_public_repository": _of_all("expsample_public_repository", "expsample_accession"),
}

routes: list[Route] = [
    Route(f"{prefix}{base}/{path}", endpoint(handler, scope=None), methods=["GET"])
    for prefix in PREFIXES
    for base in ("", "/ui")
    for path, handler in _HANDLERS.items()
]
