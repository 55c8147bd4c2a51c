"""The first tables: users, keys, sessions, stored files, Flow's records, imports, study files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stored_files",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("backend", sa.String(length=20), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("md5", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("crc32", sa.String(length=8), nullable=False),
        sa.Column("modified", sa.Float(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_files")),
    )
    op.create_index(op.f("ix_stored_files_sha256"), "stored_files", ["sha256"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("username", sa.String(length=150), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"], unique=False)
    op.create_table(
        "import_roots",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("directory", sa.String(length=1000), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_import_roots_owner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_roots")),
        sa.UniqueConstraint("directory", "kind", "owner_id", name=op.f("uq_import_roots_directory_kind_owner_id")),
    )
    op.create_index(op.f("ix_import_roots_owner_id"), "import_roots", ["owner_id"], unique=False)
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_login_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_sessions")),
    )
    op.create_index(op.f("ix_login_sessions_user_id"), "login_sessions", ["user_id"], unique=False)
    op.create_table(
        "projects",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_projects_owner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_index(op.f("ix_projects_owner_id"), "projects", ["owner_id"], unique=False)
    op.create_table(
        "segments",
        sa.Column("file_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("crc32", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["stored_files.id"], name=op.f("fk_segments_file_id_stored_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file_id", "position", name=op.f("pk_segments")),
    )
    op.create_table(
        "shares",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_shares_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shares")),
        sa.UniqueConstraint("user_id", "kind", "object_id", name=op.f("uq_shares_user_id_kind_object_id")),
    )
    op.create_index(op.f("ix_shares_kind_object_id"), "shares", ["kind", "object_id"], unique=False)
    op.create_table(
        "study_files",
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["stored_files.id"], name=op.f("fk_study_files_file_id_stored_files")),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_study_files")),
    )
    op.create_index(op.f("ix_study_files_file_id"), "study_files", ["file_id"], unique=False)
    op.create_table(
        "samples",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("sample_type", sa.String(length=100), nullable=False),
        sa.Column("organism", sa.String(length=20), nullable=True),
        sa.Column("pubmed", sa.String(length=50), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_samples_owner_id_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_samples_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_samples")),
    )
    op.create_index(op.f("ix_samples_owner_id"), "samples", ["owner_id"], unique=False)
    op.create_index(op.f("ix_samples_project_id"), "samples", ["project_id"], unique=False)
    op.create_table(
        "executions",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("identifier", sa.String(length=200), nullable=False),
        sa.Column("pipeline_name", sa.String(length=200), nullable=False),
        sa.Column("pipeline_version", sa.String(length=50), nullable=False),
        sa.Column("nextflow_version", sa.String(length=50), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_id", sa.BigInteger(), nullable=True),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_executions_owner_id_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_executions_project_id_projects")),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_executions_sample_id_samples")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
    )
    op.create_index(op.f("ix_executions_owner_id"), "executions", ["owner_id"], unique=False)
    op.create_index(op.f("ix_executions_project_id"), "executions", ["project_id"], unique=False)
    op.create_index(op.f("ix_executions_sample_id"), "executions", ["sample_id"], unique=False)
    op.create_table(
        "sample_attributes",
        sa.Column("sample_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("identifier", sa.String(length=100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("annotation", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_sample_attributes_sample_id_samples"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sample_id", "identifier", name=op.f("pk_sample_attributes")),
    )
    op.create_table(
        "data",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.BigInteger(), nullable=False),
        sa.Column("data_type", sa.String(length=50), nullable=True),
        sa.Column("sample_id", sa.BigInteger(), nullable=True),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("execution_id", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_data_execution_id_executions")),
        sa.ForeignKeyConstraint(["file_id"], ["stored_files.id"], name=op.f("fk_data_file_id_stored_files")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_data_owner_id_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_data_project_id_projects")),
        sa.ForeignKeyConstraint(["sample_id"], ["samples.id"], name=op.f("fk_data_sample_id_samples")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data")),
    )
    op.create_index(op.f("ix_data_execution_id"), "data", ["execution_id"], unique=False)
    op.create_index(op.f("ix_data_file_id"), "data", ["file_id"], unique=False)
    op.create_index(op.f("ix_data_filename"), "data", ["filename"], unique=False)
    op.create_index(op.f("ix_data_owner_id"), "data", ["owner_id"], unique=False)
    op.create_index(op.f("ix_data_project_id"), "data", ["project_id"], unique=False)
    op.create_index(op.f("ix_data_sample_id"), "data", ["sample_id"], unique=False)
    op.create_table(
        "execution_outputs",
        sa.Column("execution_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("data_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["data_id"], ["data.id"], name=op.f("fk_execution_outputs_data_id_data")),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["executions.id"],
            name=op.f("fk_execution_outputs_execution_id_executions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("execution_id", "path", name=op.f("pk_execution_outputs")),
    )
    op.create_index(op.f("ix_execution_outputs_data_id"), "execution_outputs", ["data_id"], unique=False)
    op.create_table(
        "import_entries",
        sa.Column("root_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("data_id", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["data_id"], ["data.id"], name=op.f("fk_import_entries_data_id_data")),
        sa.ForeignKeyConstraint(
            ["root_id"], ["import_roots.id"], name=op.f("fk_import_entries_root_id_import_roots"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("root_id", "path", name=op.f("pk_import_entries")),
    )
    op.create_index(op.f("ix_import_entries_data_id"), "import_entries", ["data_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_import_entries_data_id"), table_name="import_entries")
    op.drop_table("import_entries")
    op.drop_index(op.f("ix_execution_outputs_data_id"), table_name="execution_outputs")
    op.drop_table("execution_outputs")
    op.drop_index(op.f("ix_data_sample_id"), table_name="data")
    op.drop_index(op.f("ix_data_project_id"), table_name="data")
    op.drop_index(op.f("ix_data_owner_id"), table_name="data")
    op.drop_index(op.f("ix_data_filename"), table_name="data")
    op.drop_index(op.f("ix_data_file_id"), table_name="data")
    op.drop_index(op.f("ix_data_execution_id"), table_name="data")
    op.drop_table("data")
    op.drop_table("sample_attributes")
    op.drop_index(op.f("ix_executions_sample_id"), table_name="executions")
    op.drop_index(op.f("ix_executions_project_id"), table_name="executions")
    op.drop_index(op.f("ix_executions_owner_id"), table_name="executions")
    op.drop_table("executions")
    op.drop_index(op.f("ix_samples_project_id"), table_name="samples")
    op.drop_index(op.f("ix_samples_owner_id"), table_name="samples")
    op.drop_table("samples")
    op.drop_index(op.f("ix_study_files_file_id"), table_name="study_files")
    op.drop_table("study_files")
    op.drop_index(op.f("ix_shares_kind_object_id"), table_name="shares")
    op.drop_table("shares")
    op.drop_table("segments")
    op.drop_index(op.f("ix_projects_owner_id"), table_name="projects")
    op.drop_table("projects")
    op.drop_index(op.f("ix_login_sessions_user_id"), table_name="login_sessions")
    op.drop_table("login_sessions")
    op.drop_index(op.f("ix_import_roots_owner_id"), table_name="import_roots")
    op.drop_table("import_roots")
    op.drop_index(op.f("ix_api_keys_user_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("users")
    op.drop_index(op.f("ix_stored_files_sha256"), table_name="stored_files")
    op.drop_table("stored_files")
