"""Filters are answered by indexes: SQLite's own word for it."""

from __future__ import annotations

import pytest
from sqlalchemy import true

from packhorse.server.db.immport_views import KINDS
from packhorse.server.immport import results
from packhorse.wire.immport.filters import FILTERS, parse_filters

from .conftest import Site


def _plan(site: Site, pairs: list[tuple[str, str]]) -> list[str]:
    with site.database.read() as session:
        asked = results.result_select(session, KINDS["elisa"], parse_filters(pairs), true())
        assert asked is not None
        compiled = asked.compile(session.get_bind(), compile_kwargs={"render_postcompile": True})
        values = tuple(compiled.params[name] for name in compiled.positiontup or ())
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
        return [row[3] for row in rows]


_VALUES = {
    "maxSubjectAge": "30.5", "minSubjectAge": "30", "studyTimeCollected": "0", "gender": "Female", "sex": "Female",
    "studyAccession": "SDY31", "clinical": "Y", "race": "White", "species": "Homo sapiens", "armAccession": "ARM1",
    "subjectAccession": "SUB1", "biosampleAccession": "BS1", "expsampleAccession": "ES1",
    "experimentAccession": "EXP1", "measurementTechnique": "ELISA", "biosampleType": "Serum", "ageUnit": "Years",
    "plannedVisitAccession": "PV1", "ethnicity": "Not Hispanic or Latino", "ancestralPopulation": "Iceland",
    "subjectPhenotype": "healthy", "studyTimeCollectedUnit": "Days", "studyTimeT0Event": "Not Specified",
    "ageEvent": "Age at enrollment", "biosampleSubtype": "heparin",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(name for name in FILTERS if name in _VALUES))
def test_every_filter_has_an_index(site: Site, name: str) -> None:
    plan = _plan(site, [(name, _VALUES[name])])
    contexts = [line for line in plan if "immport_contexts" in line]
    assert contexts
    assert all(line.startswith("SEARCH") for line in contexts), plan
    rows = [line for line in plan if "iv_elisa" in line]
    assert rows == ["SEARCH iv_elisa USING INDEX ix_iv_elisa_context_id (context_id=?)"]


def test_many_rows_come_in_their_order_without_sorting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_SORTED", 0)
    plan = _plan(site, [("gender", "Female")])
    assert any(line.startswith("SEARCH iv_elisa USING PRIMARY KEY (result_id>? AND result_id<?)") for line in plan)
    assert not any("TEMP B-TREE" in line for line in plan)
    found = site.json("result/elisa?gender=Female&studyAccession=SDY31")
    assert [row["resultId"] for row in found] == [1001, 1002, 1003]
