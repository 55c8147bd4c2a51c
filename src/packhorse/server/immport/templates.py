"""The templates as ZIPs, ready to be filled in."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import Lookup
from packhorse.server.immport.batch import batch_template
from packhorse.server.immport.records import known_terms
from packhorse.wire.immport.templates import PREFIXES, TEMPLATES, json_text, text_template

__all__ = ["batch_templates", "upload_templates"]

_DATE: Final = (2024, 1, 1, 0, 0, 0)
_MOST_TERMS: Final = 2000


def upload_templates(session: Session) -> bytes:
    """``txt-templates/`` and ``json-templates/``, and the terms of the vocabularies in ``lookup-tables/``."""
    vocabularies = sorted(set(session.scalars(select(Lookup.vocabulary).distinct())))
    strict = {
        column.vocabulary
        for template in TEMPLATES.values()
        for block in template.blocks
        for column in (*block.columns, *block.results)
        if column.strict
    }
    terms = {name: found for name in strict if (found := known_terms(session, name)) and len(found) <= _MOST_TERMS}

    def files() -> Iterator[tuple[str, str]]:
        for name, template in TEMPLATES.items():
            yield f"txt-templates/{name}.txt", text_template(template)
            yield f"json-templates/{name}.json", json_text(template, terms)
        for vocabulary in vocabularies:
            yield (
                f"lookup-tables/{vocabulary}.txt",
                "".join(f"{term}\n" for term in known_terms(session, vocabulary) or ()),
            )

    return _zipped(files())


def batch_templates() -> bytes:
    """An empty batch file for every table whose records have accessions."""
    return _zipped((f"UpdateValue.{table}.txt", batch_template(table)) for table in sorted(PREFIXES))


def _zipped(files: Iterator[tuple[str, str]]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files:
            archive.writestr(zipfile.ZipInfo(name, _DATE), text, zipfile.ZIP_DEFLATED)
    return held.getvalue()
