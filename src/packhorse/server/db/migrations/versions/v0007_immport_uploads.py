"""ImmPort's workspaces, upload tickets and what they made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SMALL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "immport_workspaces",
        sa.Column("id", _SMALL, autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("category", sa.String(length=10), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_immport_workspaces_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_workspaces")),
        sa.UniqueConstraint("user_id", "category", name=op.f("uq_immport_workspaces_user_id_category")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "immport_registrations",
        sa.Column("id", _SMALL, autoincrement=True, nullable=False),
        sa.Column("ticket", sa.String(length=200), nullable=True),
        *_of("immport_registrations", "workspace_id", "immport_workspaces"),
        sa.Column("scheme", sa.String(length=10), nullable=False),
        sa.Column("purpose", sa.String(length=30), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("package_name", sa.String(length=255), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("server_name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_registrations")),
        sa.UniqueConstraint("ticket", name=op.f("uq_immport_registrations_ticket")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_immport_registrations_method_status"), "immport_registrations", ["method", "status"])
    op.create_index(op.f("ix_immport_registrations_workspace_id"), "immport_registrations", ["workspace_id"])
    op.create_table(
        "immport_registration_files",
        *_of("immport_registration_files", "registration_id", "immport_registrations"),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["stored_files.id"], name=op.f("fk_immport_registration_files_file_id_stored_files")
        ),
        sa.PrimaryKeyConstraint("registration_id", "position", name=op.f("pk_immport_registration_files")),
    )
    op.create_index(op.f("ix_immport_registration_files_file_id"), "immport_registration_files", ["file_id"])
    op.create_table(
        "immport_registration_results",
        sa.Column("id", _SMALL, autoincrement=True, nullable=False),
        *_of("immport_registration_results", "registration_id", "immport_registrations"),
        sa.Column("status", sa.String(length=100), nullable=False),
        sa.Column("file_name", sa.String(length=500), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_registration_results")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_immport_registration_results_registration_id"), "immport_registration_results", ["registration_id"]
    )
    op.create_table(
        "immport_upload_records",
        sa.Column("id", _SMALL, autoincrement=True, nullable=False),
        *_of("immport_upload_records", "workspace_id", "immport_workspaces"),
        *_of("immport_upload_records", "registration_id", "immport_registrations"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.String(length=64), nullable=False),
        sa.Column("accession", sa.String(length=30), nullable=True),
        sa.Column("identifier", sa.String(length=250), nullable=True),
        sa.Column("file_name", sa.String(length=500), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_immport_upload_records")),
        sa.UniqueConstraint("accession", name=op.f("uq_immport_upload_records_accession")),
        sa.UniqueConstraint(
            "workspace_id",
            "table_name",
            "identifier",
            name=op.f("uq_immport_upload_records_workspace_id_table_name_identifier"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_immport_upload_records_registration_id_position"),
        "immport_upload_records",
        ["registration_id", "position"],
    )
    op.create_table(
        "immport_accession_series",
        sa.Column("prefix", sa.String(length=10), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_immport_accession_series")),
    )


def _of(table: str, column: str, other: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    """A column that points at another table's row and goes with it."""
    name = op.f(f"fk_{table}_{column}_{other}")
    return (
        sa.Column(column, _SMALL, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE"),
    )


def downgrade() -> None:
    for table in (
        "immport_accession_series",
        "immport_upload_records",
        "immport_registration_results",
        "immport_registration_files",
        "immport_registrations",
        "immport_workspaces",
    ):
        op.drop_table(table)
