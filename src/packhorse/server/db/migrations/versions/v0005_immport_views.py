"""What is derived from ImmPort packages for queries, and the identifiers of study files."""

from __future__ import annotations

import uuid
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FILES: Final = uuid.UUID("6f1c2f0e-8d0b-5c53-9d8c-4f5d2b1a7e90")
_TEXTS: Final = """
by_study_accession by_study_title by_clinical by_arm_accession by_arm_name by_subject_accession by_age_event
by_age_event_specify by_age_unit by_max_subject_age by_min_subject_age by_subject_phenotype by_ancestral_population
by_ethnicity by_gender by_race by_race_specify by_species by_strain by_biosample_accession by_biosample_type
by_biosample_subtype by_planned_visit_accession by_study_time_collected by_study_time_collected_unit
by_study_time_t0event by_study_time_t0event_specify by_experiment_accession by_measurement_technique
by_expsample_accession by_treatment_accession
"""
_NUMBERS: Final = ("by_max_subject_age", "by_min_subject_age", "by_study_time_collected")
_NOT_INDEXED: Final = ("by_study_title", "by_arm_name", "by_treatment_accession", "by_study_accession")
_TABLES: Final = """\
iv_elisa: analyte_accession analyte_preferred analyte_reported comments repository_accession repository_name
  unit_preferred unit_reported value_preferred value_reported
iv_elispot: analyte_accession analyte_preferred analyte_reported cell_number_preferred cell_number_reported comments
  repository_accession repository_name spot_number_preferred spot_number_reported
iv_fcs_analyzed: comments parent_population_preferred parent_population_reported population_defnition_preferred
  population_defnition_reported population_name_preferred population_name_reported population_stat_unit_preferred
  population_stat_unit_reported population_statistic_preferred population_statistic_reported repository_accession
  repository_name workspace_file_info_id
iv_file_path: file_path_id file_info_id file_detail filesize_bytes file_name original_file_name file_path
iv_hai: comments repository_accession repository_name unit_preferred unit_reported value_preferred value_reported
  virus_strain_preferred virus_strain_reported
iv_hla_typing: allele_1 allele_2 comments locus_name repository_accession repository_name result_set_id
iv_kir_typing: allele_1 allele_2 comments kir_haplotype repository_accession repository_name
iv_mass_spectrometry_result: comments database_id_preferred database_id_reported intensity mass_spectrometry_type
  metabolite_name_preferred metabolite_name_reported protein_name_preferred protein_name_reported repository_accession
  repository_name retention_time retention_time_unit workspace_id zcharge mzratio
iv_mbaa: analyte_accession analyte_preferred analyte_reported assay_group_id assay_id comments
  concentration_unit_preferred concentration_unit_reported concentration_value_preferred concentration_value_reported
  mfi mfi_coordinate repository_accession repository_name
iv_neut_ab_titer: comments repository_accession repository_name unit_preferred unit_reported value_preferred
  value_reported virus_strain_preferred virus_strain_reported
iv_pcr: comments gene_id gene_name analyte_accession gene_symbol_reported gene_symbol_preferred other_gene_accession
  repository_accession repository_name unit_preferred unit_reported value_preferred value_reported
"""


def _package(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    key = sa.ForeignKeyConstraint(
        ["package_id"],
        ["immport_packages.id"],
        name=op.f(f"fk_{table}_package_id_immport_packages"),
        ondelete="CASCADE",
    )
    return sa.Column("package_id", sa.BigInteger(), autoincrement=False, nullable=False), key


def upgrade() -> None:
    op.create_table(
        "immport_contexts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        *_package("immport_contexts"),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("joined", sa.Text(), nullable=False),
        sa.Column("study", sa.String(length=20), nullable=False),
        sa.Column("members", sa.Text(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("first_row", sa.BigInteger(), nullable=False),
        sa.Column("last_row", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Float(53) if name in _NUMBERS else sa.Text()) for name in _TEXTS.split()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_contexts")),
    )
    op.create_index("ix_immport_contexts_joined", "immport_contexts", ["package_id", "kind", "joined"])
    op.create_index("ix_immport_contexts_study", "immport_contexts", ["kind", "study"])
    for name in _TEXTS.split():
        if name not in _NOT_INDEXED:
            op.create_index(f"ix_immport_contexts_{name}", "immport_contexts", ["kind", name])
    op.create_table(
        "immport_analytes",
        *_package("immport_analytes"),
        sa.Column("preferred", sa.Text(), nullable=False),
        sa.Column("accession", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("package_id", "preferred", name=op.f("pk_immport_analytes")),
    )
    for line in _TABLES.replace("\n  ", " ").splitlines():
        table, _, columns = line.partition(": ")
        op.create_table(
            table,
            sa.Column("result_id", sa.BigInteger(), autoincrement=False, nullable=False),
            *_package(table),
            sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column("context_id", sa.BigInteger(), nullable=False),
            *(sa.Column(column, sa.Text()) for column in columns.split()),
            sa.PrimaryKeyConstraint("result_id", "package_id", "line", name=op.f(f"pk_{table}")),
            sqlite_with_rowid=False,
        )
        op.create_index(op.f(f"ix_{table}_context_id"), table, ["context_id"])
    _searched()
    _identify_files()


def _searched() -> None:
    op.create_table(
        "immport_documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        *_package("immport_documents"),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("accession", sa.String(length=50), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("study", sa.String(length=20), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_documents")),
    )
    for columns in (["kind", "number"], ["package_id"], ["kind", "study"]):
        op.create_index(op.f(f"ix_immport_documents_{'_'.join(columns)}"), "immport_documents", columns)
    op.create_table(
        "immport_facets",
        sa.Column("document_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("facet", sa.String(length=30), nullable=False),
        sa.Column("folded", sa.String(length=500), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["immport_documents.id"],
            name=op.f("fk_immport_facets_document_id_immport_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_id", "facet", "folded", name=op.f("pk_immport_facets")),
    )
    op.create_index(
        op.f("ix_immport_facets_facet_folded_document_id"), "immport_facets", ["facet", "folded", "document_id"]
    )


def _identify_files() -> None:
    op.add_column("study_files", sa.Column("uuid", sa.String(length=36), nullable=True))
    files = sa.table("study_files", sa.column("path", sa.String), sa.column("uuid", sa.String))
    connection = op.get_bind()
    for path in connection.scalars(sa.select(files.c.path)).all():
        named = str(uuid.uuid5(_FILES, path.lstrip("/")))
        connection.execute(files.update().where(files.c.path == path).values(uuid=named))
    with op.batch_alter_table("study_files") as batch:
        batch.alter_column("uuid", existing_type=sa.String(length=36), nullable=False)
    op.create_index(op.f("ix_study_files_uuid"), "study_files", ["uuid"])


def downgrade() -> None:
    op.drop_table("immport_facets")
    op.drop_table("immport_documents")
    op.drop_index(op.f("ix_study_files_uuid"), table_name="study_files")
    with op.batch_alter_table("study_files") as batch:
        batch.drop_column("uuid")
    for line in reversed(_TABLES.replace("\n  ", " ").splitlines()):
        op.drop_table(line.partition(": ")[0])
    op.drop_table("immport_analytes")
    op.drop_table("immport_contexts")
