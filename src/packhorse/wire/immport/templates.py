"""The submission templates: what columns they have, what may stand in them, and how they look (spec immport §4).

A text template has the template's name and the schema version in its first line, a line of help, the column headers
behind ``Column Name``, and then data lines with an empty first cell. A JSON template describes the same as a schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Literal

from packhorse.wire.immport.catalogue import COLUMNS, GROUPS, PREFIXES

__all__ = [
    "FIRST_CELL",
    "HELP_LINE",
    "PREFIXES",
    "SCHEMA_VERSION",
    "SCHEMA_VERSIONS",
    "SEPARATOR",
    "TEMPLATES",
    "YES_NO",
    "Block",
    "Column",
    "Template",
    "block_attribute",
    "find_template",
    "json_template",
    "json_text",
    "text_template",
    "words_of",
]

SCHEMA_VERSION: Final = "3.36"
SCHEMA_VERSIONS: Final = re.compile(r"3\.\d{1,3}", re.ASCII)
"""Versions whose column names are these (3.15 to 3.36 were seen)."""
HELP_LINE: Final = "Please do not delete or edit this column"
FIRST_CELL: Final = "Column Name"
SEPARATOR: Final = "Result Separator Column"
YES_NO: Final = ("Yes", "No")

Kind = Literal["text", "number", "integer", "date", "file", "files"]
_KINDS: Final[Mapping[str, Kind]] = {
    "num": "number",
    "int": "integer",
    "date": "date",
    "file": "file",
    "files": "files",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``tables`` are the tables that its value belongs to, under the name ``column``.

    ``needed``: required where a new record of one of ``tables`` is defined. ``vocabulary`` is ``lk_…``; only where
    ``strict`` no other term is let in. ``reference`` is the table that its IDs are of; with ``defines`` a new one may
    be made by the row. ``when`` (another column, its value) makes it required. ``many``: divided by ``;``.
    """

    name: str
    tables: tuple[str, ...]
    column: str
    kind: Kind = "text"
    required: bool = False
    needed: bool = False
    key: bool = False
    vocabulary: str = ""
    strict: bool = False
    reference: str = ""
    defines: bool = False
    many: bool = False
    when: tuple[str, str] | None = None

    @property
    def attribute(self) -> str:
        """The name in JSON templates.

        >>> find_template("bioSamples").blocks[0].columns[8].attribute
        'treatmentIds'
        """
        first, *rest = words_of(self.name)
        return first + "".join(word.capitalize() for word in rest)

    @property
    def help(self) -> str:
        """What may stand here, in a sentence or two."""
        said = ["Required." if self.required else "Required for a new record." if self.needed else "Optional."]
        if self.when:
            said = [f"Required if {self.when[0]} is {self.when[1]}."]
        if self.key:
            said.append("An ID of your own, unique in the workspace.")
        elif self.defines:
            said.append(f"The ID or accession of a {_plain(self.reference)}, or an ID for a new one.")
        elif self.reference:
            said.append(f"The ID or accession of a {_plain(self.reference)}.")
        if self.vocabulary:
            said.append(f"A term of {self.vocabulary}." if self.strict else f"Preferably a term of {self.vocabulary}.")
        kinds = {
            "number": "A number.",
            "integer": "A positive whole number.",
            "date": "A date such as 05-Mar-2019.",
            "file": "The name of a file in the package.",
            "files": "Names of files in the package.",
        }
        said += [kinds[self.kind]] if self.kind in kinds else []
        said += ["Several are divided by a semicolon."] if self.many else []
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class Block:
    """Columns that make a record of ``table``; ``results`` repeat and make records of ``result_table``."""

    name: str
    table: str
    columns: tuple[Column, ...]
    results: tuple[Column, ...] = ()
    result_table: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A template; one with several blocks is a compound one."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def kind(self) -> str:
        """``single``, ``combined-result`` or ``compound``."""
        if len(self.blocks) > 1:
            return "compound"
        return "combined-result" if self.blocks[0].results else "single"

    @property
    def title(self) -> str:
        """The name in small letters with its suffix, as reports have it."""
        return f"{self.name.lower()}.txt"


def words_of(name: str) -> list[str]:
    """A column's name in small words.

    >>> words_of("Treatment ID(s)"), words_of(".Fcs Result File")
    (['treatment', 'ids'], ['fcs', 'result', 'file'])
    """
    return re.findall(r"[a-z0-9]+", name.replace("(s)", "s").lower())


def _plain(table: str) -> str:
    return table.replace("_", " ")


@dataclass(slots=True)
class _Reading:
    """The catalogue on its way to templates."""

    groups: dict[str, str] = field(default_factory=dict)

    def columns(self, text: str, table: str) -> tuple[Column, ...]:
        found: list[Column] = []
        for entry in text.split(";"):
            name, _, flags = entry.strip().partition("|")
            if name.startswith("@"):
                found += self.columns(self.groups[name[1:]], table)
            elif name:
                found.append(_column(name.strip(), flags, table))
        return tuple(found)


def _column(name: str, flags: str, table: str) -> Column:
    """One entry of the catalogue."""
    made = Column(name, (table,), "_".join(words_of(name)))
    named = False
    for flag in re.findall(r"(?:if:[^|=]+=\w+|\S+)", flags):
        word, _, value = flag.partition(":")
        if word in _KINDS:
            made = replace(made, kind=_KINDS[word], many=word == "files")
        elif word in ("req", "need", "key"):
            made = replace(made, required=made.required or word == "req", needed=made.needed or word == "need",
                           key=made.key or word == "key")  # fmt: skip
        elif word in ("cv", "pv"):
            made = replace(made, vocabulary=value, strict=word == "cv")
        elif word in ("ref", "refs", "new"):
            made = replace(made, reference=value, many=word == "refs", defines=word == "new")
        elif word == "if":
            other, _, term = value.partition("=")
            made = replace(made, when=(other, term))
        elif word == "of":
            tables, dot, column = value.partition(".")
            made = replace(made, tables=tuple(tables.split(",")), column=column if dot else made.column)
            named = named or bool(dot)
        else:
            assert word == "col", flag
            made, named = replace(made, column=value), True
    if made.key:
        made = replace(made, column="user_defined_id")
    elif made.reference and not named:
        made = replace(made, column=f"{'arm' if made.reference == 'arm_or_cohort' else made.reference}_accession")
    return made


def _blocks(text: str) -> dict[str, tuple[str, str]]:
    """Head lines and what is indented below them, in order; the key is the head's first word."""
    found: dict[str, tuple[str, str]] = {}
    head = ""
    for line in text.strip().splitlines():
        if line.startswith(" "):
            rest, before = found[head]
            found[head] = rest, f"{before}\n{line.strip()}"
        else:
            head, _, rest = line.partition(" ")
            found[head] = rest, ""
    return found


def _read() -> dict[str, Template]:
    reading = _Reading({head[1:]: text for head, (_, text) in _blocks(GROUPS).items()})
    made: dict[str, Template] = {}
    for head, (table, text) in _blocks(COLUMNS).items():
        name, _, part = head.partition("/")
        own, _, repeated = text.partition("--- ")
        results_table, _, results = repeated.partition("\n")
        block = Block(
            part or name,
            table,
            reading.columns(own, table),
            reading.columns(results, results_table),
            results_table,
        )
        before = made[name].blocks if name in made else ()
        made[name] = Template(name, (*before, block))
    return made


TEMPLATES: Final[Mapping[str, Template]] = _read()
"""Every template by its name."""
_ALIASES: Final = {"subjectshuman": "subjectHumans", "subjectsanimal": "subjectAnimals"}


@cache
def _by_key() -> dict[str, Template]:
    return {_key(name): template for name, template in TEMPLATES.items()}


def _key(name: str) -> str:
    return name.strip().lower().removesuffix(".txt").removesuffix(".json")


def find_template(name: str) -> Template | None:
    """The template of that name or file name, without regard to case; ``None`` where there is none.

    >>> find_template("biosamples.txt").name, find_template("subjectsHuman").name
    ('bioSamples', 'subjectHumans')
    """
    key = _key(name)
    alias = _ALIASES.get(key)
    return TEMPLATES[alias] if alias else _by_key().get(key)


def text_template(template: Template) -> str:
    """The empty text template, to be filled in."""
    lines = [f"{template.name}\tSchema Version {SCHEMA_VERSION}"]
    if len(template.blocks) > 1:
        lines.append(f"{HELP_LINE}\tEach block begins with its name; leave an empty line between two blocks.")
        for block in template.blocks:
            lines += ["", block.name, "\t".join([FIRST_CELL, *(column.name for column in block.columns)])]
        return "\n".join(lines) + "\n"
    (block,) = template.blocks
    columns = [*block.columns, *([None, *block.results] if block.results else [])]
    lines.append("\t".join([HELP_LINE, *(column.help if column else "Leave this column empty." for column in columns)]))
    lines.append("\t".join([FIRST_CELL, *(column.name if column else SEPARATOR for column in columns)]))
    return "\n".join(lines) + "\n"


def json_template(template: Template, terms: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A JSON schema (draft 4) of the template's JSON form. ``terms`` are the vocabularies that are known."""
    properties: dict[str, Any] = {
        "fileName": {"type": "string"},
        "name": {"type": "string", "enum": [template.name.lower()]},
        "schemaVersion": {"type": "string", "enum": [SCHEMA_VERSION]},
        "templateType": {"type": "string", "enum": [template.kind]},
    }
    if len(template.blocks) > 1:
        properties |= {
            block_attribute(block): {"type": "array", "items": _record(block.columns, terms)}
            for block in template.blocks
        }
    else:
        (block,) = template.blocks
        item = _record(block.columns, terms)
        if block.results:
            results = {"type": "array", "items": _record(block.results, terms)}
            item = {"type": "object", "properties": {"metaData": item, "resultData": results}, "required": ["metaData"]}
        properties["data"] = {"type": "array", "items": item}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": template.name,
        "type": "object",
        "properties": properties,
        "required": ["schemaVersion", "name"],
    }


def block_attribute(block: Block) -> str:
    """A compound template's block in JSON (``arm_or_cohort`` is ``armOrCohort``)."""
    first, *rest = block.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _record(columns: Sequence[Column], terms: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for column in columns:
        kind = {"number": "number", "integer": "integer"}.get(column.kind, "string")
        made: dict[str, Any] = {"type": "array", "items": {"type": "string"}} if column.many else {"type": kind}
        known = list(YES_NO) if column.vocabulary == "lk_yes_no" else list(terms.get(column.vocabulary, ()))
        if column.strict and known:
            made["enum"] = known
        properties[column.attribute] = {**made, "description": column.help}
    required = [column.attribute for column in columns if column.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def json_text(template: Template, terms: Mapping[str, Sequence[str]]) -> str:
    """:func:`json_template` as a file."""
    return json.dumps(json_template(template, terms), indent=2, ensure_ascii=False) + "\n"
