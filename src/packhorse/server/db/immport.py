"""The tables of imported ImmPort release packages, as they came, and the studies that they brought.

A package's table becomes a table of the same name with the prefix ``ip_``. Its values are the package's own text (an
empty cell is NULL), so that ``1.00`` stays ``1.00``; columns that we do not know are kept in ``extra``. Rows belong to
their package and keep its line number: joins stay within a package, and a package goes or comes as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from packhorse.server.db.models import Base, new_id, now
from packhorse.wire.immport.release import TABLES

__all__ = ["RELEASE", "Lookup", "OtherRow", "Package", "Study"]


class Package(Base):
    """An imported release package (``SDY139-DR25_Tab.zip``). ``counts`` are rows by table, as read."""

    __tablename__ = "immport_packages"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, default=new_id)
    name: Mapped[str] = mapped_column(String(255))
    release: Mapped[str] = mapped_column(String(50), default="")
    sha256: Mapped[str] = mapped_column(String(64))
    imported: Mapped[int] = mapped_column(default=now)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Study(Base):
    """A study that is served. ``restricted`` ones are for those who were let in (``Share`` of kind ``study``, where
    ``object_id`` is ``number``: the digits of the accession)."""

    __tablename__ = "immport_studies"
    accession: Mapped[str] = mapped_column(String(20), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    package_id: Mapped[int] = mapped_column(ForeignKey("immport_packages.id", ondelete="CASCADE"), index=True)
    restricted: Mapped[bool] = mapped_column(Boolean, default=False)


class Lookup(Base):
    """A row of a controlled vocabulary; ``vocabulary`` is the package's name for it (``lk_analyte``). The newest
    release that was imported wins as a whole. ``record`` has the package's columns in lower case."""

    __tablename__ = "immport_lookups"
    vocabulary: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text, default="")
    record: Mapped[dict[str, Any]]


class OtherRow(Base):
    """A row of a package's table that we do not know, kept whole."""

    __tablename__ = "immport_other_rows"
    package_id: Mapped[int] = mapped_column(
        ForeignKey("immport_packages.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    table_name: Mapped[str] = mapped_column(String(64), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    record: Mapped[dict[str, Any]]


_INDEXED: Final = """
study_accession subject_accession arm_accession biosample_accession expsample_accession experiment_accession
protocol_accession reagent_accession treatment_accession planned_visit_accession assessment_panel_accession
lab_test_panel_accession file_info_id fcs_header_id program_id contract_grant_id personnel_id
"""


def _table(name: str, columns: tuple[str, ...]) -> Table:
    return Table(
        f"ip_{name}",
        Base.metadata,
        Column(
            "package_id",
            BigInteger,
            ForeignKey("immport_packages.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        Column("line", BigInteger, primary_key=True, autoincrement=False),
        *(Column(column, Text) for column in columns),
        Column("extra", JSON(none_as_null=True)),
        *(Index(None, "package_id", column) for column in columns if column in _INDEXED.split()),
    )


RELEASE: Final[Mapping[str, Table]] = {name: _table(name, columns) for name, columns in TABLES.items()}
"""The tables by the package's names: ``RELEASE["arm_2_subject"].c.arm_accession``."""
