"""The 45 filters of assay results: what they compare, how, and whether a value can be right (spec immport §2.3).

Different filters are joined by AND, several values of one by OR, whether they come in a comma list or by repetition.
Text is compared without regard to case.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from packhorse.errors import UsageError

__all__ = ["FILTERS", "Condition", "Filter", "check_filters", "check_study", "parse_filters"]

Match = Literal["exact", "substring", "=", ">=", "<=", ">", "<"]


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: the record member that it compares, how, and the lookup that its values are from (or ``""``)."""

    name: str
    member: str
    match: Match
    vocabulary: str = ""

    @property
    def single(self) -> bool:
        """Whether it takes one value only."""
        return self.match not in ("exact", "substring") or self.name == "clinical"


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter with the values that were asked for; numbers as :class:`~decimal.Decimal` have their text in
    ``values``."""

    filter: Filter
    values: tuple[str, ...]


_TEXTS: Final = """\
ageEvent=lkAgeEvent ageEventSpecify ageUnit=lkTimeUnit ancestralPopulation=lkAncestralPopulation armAccession
armName~ biosampleAccession biosampleSubtype biosampleType=lkSampleType clinical ethnicity=lkEthnicity
experimentAccession expsampleAccession gender=lkSex sex=lkSex measurementTechnique=lkExpMeasurementTech
plannedVisitAccession race=lkRace raceSpecify species=lkSpecies strain studyAccession
studyTimeCollectedUnit=lkTimeUnit studyTimeT0Event=lkT0Event studyTimeT0EventSpecify subjectAccession studyTitle~
subjectPhenotype treatmentAccession~"""
_NUMBERS: Final = ("maxSubjectAge", "minSubjectAge", "studyTimeCollected")
_SUFFIXES: Final[Mapping[str, Match]] = {"": "=", "Gte": ">=", "Lte": "<=", "Gt": ">", "Lt": "<"}
_FORMATS: Final = ("json", "tsv")
_MOST_VALUES: Final = 10_000


def _all() -> dict[str, Filter]:
    found: list[Filter] = []
    for word in _TEXTS.split():
        name, _, vocabulary = word.rstrip("~").partition("=")
        member = "gender" if name == "sex" else name
        found.append(Filter(name, member, "substring" if word.endswith("~") else "exact", vocabulary))
    found += [Filter(name + end, name, match) for name in _NUMBERS for end, match in _SUFFIXES.items()]
    return {each.name: each for each in found}


FILTERS: Final[Mapping[str, Filter]] = _all()
"""Every filter by name; ``format``, which is the 45th parameter, is none."""


def check_filters(names: Iterable[str]) -> None:
    """Raises :class:`UsageError` for a name that is no filter, with near names."""
    for name in names:
        if name not in FILTERS and name != "format":
            near = difflib.get_close_matches(name, FILTERS, n=3, cutoff=0.6)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"there is no filter {name!r}{meant}", hint="packhorse query --filters")


def parse_filters(pairs: Iterable[tuple[str, str]]) -> tuple[Condition, ...]:
    """The conditions that a query string (decoded, in order) asks for, in the order of their first mention.

    ``format`` is passed over. Raises :class:`UsageError` for an unknown filter, a second value where one is taken, a
    number that is none.

    >>> parse_filters([("studyAccession", "SDY2, SDY4"), ("minSubjectAgeGte", "18")])[0].values
    ('SDY2', 'SDY4')
    """
    values: dict[str, list[str]] = {}
    for name, text in pairs:
        if name == "format":
            continue
        check_filters([name])
        parts = [text] if FILTERS[name].single else text.split(",")
        values.setdefault(name, []).extend(part.strip() for part in parts if part.strip())
    return tuple(_condition(FILTERS[name], found) for name, found in values.items() if found)


def _condition(wanted: Filter, values: list[str]) -> Condition:
    unique = tuple(dict.fromkeys(values))
    if wanted.single and len(unique) > 1:
        raise UsageError(f"{wanted.name} takes one value, not {len(unique)}", hint=f"--{wanted.name} {unique[0]}")
    if len(unique) > _MOST_VALUES:
        raise UsageError(f"{wanted.name} has {len(unique):,} values; at most {_MOST_VALUES:,} are taken")
    if wanted.name == "clinical" and unique[0].upper() not in ("Y", "N"):
        raise UsageError(f"clinical is Y or N, not {unique[0]!r}", hint="--clinical Y")
    if wanted.match not in ("exact", "substring"):
        unique = (_number(wanted.name, unique[0]),)
    if wanted.name == "studyAccession":
        unique = tuple(check_study(value) for value in unique)
    return Condition(wanted, unique)


def _number(name: str, text: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or abs(value.adjusted()) > 30:
        raise UsageError(f"{name} is a number, not {text[:60]!r}", hint=f"--{name} 18")
    return text


def check_study(text: str) -> str:
    """A study accession, in capitals. Raises :class:`UsageError` for anything else (spec immport §2.8).

    >>> check_study("sdy139")
    'SDY139'
    """
    accession = text.strip().upper()
    if not re.fullmatch(r"SDY[0-9]{1,12}", accession, re.ASCII):
        raise UsageError(f"{text[:60]!r} is no study accession", hint="a study accession is SDY and digits: SDY139")
    return accession
