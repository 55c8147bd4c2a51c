"""FileSender's tables and the drafts of uploads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drafts",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_drafts")),
    )
    op.create_index(op.f("ix_drafts_touched"), "drafts", ["touched"], unique=False)
    op.create_table(
        "fs_applications",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("acl", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fs_applications")),
    )
    op.create_table(
        "fs_audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("transfer_id", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("author_kind", sa.String(length=20), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("author", sa.String(length=254), nullable=True),
        sa.Column("ip", sa.String(length=60), nullable=False),
        sa.Column("target_kind", sa.String(length=20), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("target_name", sa.String(length=1024), nullable=True),
        sa.Column("target_size", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fs_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_fs_audit_author_kind_author_id_event_created"),
        "fs_audit",
        ["author_kind", "author_id", "event", "created"],
        unique=False,
    )
    op.create_index(op.f("ix_fs_audit_transfer_id"), "fs_audit", ["transfer_id"], unique=False)
    op.create_table(
        "draft_parts",
        sa.Column("draft_key", sa.String(length=200), nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("crc32", sa.String(length=8), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["draft_key"], ["drafts.key"], name=op.f("fk_draft_parts_draft_key_drafts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("draft_key", "offset", name=op.f("pk_draft_parts")),
    )
    op.create_table(
        "fs_guests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("user_email", sa.String(length=254), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("token", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("transfer_options", sa.JSON(), nullable=False),
        sa.Column("transfer_count", sa.BigInteger(), nullable=False),
        sa.Column("reminders", sa.BigInteger(), nullable=False),
        sa.Column("extensions", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("last_activity", sa.BigInteger(), nullable=True),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fs_guests_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fs_guests")),
        sa.UniqueConstraint("token", name=op.f("uq_fs_guests_token")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fs_guests_status"), "fs_guests", ["status"], unique=False)
    op.create_index(op.f("ix_fs_guests_user_id"), "fs_guests", ["user_id"], unique=False)
    op.create_table(
        "fs_keys",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fs_keys_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_fs_keys")),
    )
    op.create_table(
        "fs_profiles",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("lang", sa.String(length=20), nullable=True),
        sa.Column("aup_ticked", sa.Boolean(), nullable=False),
        sa.Column("last_activity", sa.BigInteger(), nullable=True),
        sa.Column("transfer_preferences", sa.JSON(), nullable=False),
        sa.Column("guest_preferences", sa.JSON(), nullable=False),
        sa.Column("frequent_recipients", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_fs_profiles_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_fs_profiles")),
    )
    op.create_table(
        "fs_transfers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("guest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("user_email", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("lang", sa.String(length=20), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("roundtrip_sha256", sa.String(length=64), nullable=False),
        sa.Column("chunk_size", sa.BigInteger(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("key_version", sa.BigInteger(), nullable=True),
        sa.Column("password_version", sa.BigInteger(), nullable=True),
        sa.Column("password_encoding", sa.String(length=20), nullable=True),
        sa.Column("password_iterations", sa.BigInteger(), nullable=True),
        sa.Column("client_entropy", sa.String(length=100), nullable=True),
        sa.Column("extensions", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("made_available", sa.BigInteger(), nullable=True),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.Column("close_reason", sa.String(length=40), nullable=True),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["fs_guests.id"], name=op.f("fk_fs_transfers_guest_id_fs_guests")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fs_transfers_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fs_transfers")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fs_transfers_guest_id"), "fs_transfers", ["guest_id"], unique=False)
    op.create_index(op.f("ix_fs_transfers_status_expires"), "fs_transfers", ["status", "expires"], unique=False)
    op.create_index(op.f("ix_fs_transfers_user_id"), "fs_transfers", ["user_id"], unique=False)
    op.create_table(
        "fs_visits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("cookie_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("guest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("security_token", sa.String(length=36), nullable=False),
        sa.Column("csrf_token", sa.String(length=32), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["guest_id"], ["fs_guests.id"], name=op.f("fk_fs_visits_guest_id_fs_guests"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fs_visits_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fs_visits")),
        sa.UniqueConstraint("cookie_sha256", name=op.f("uq_fs_visits_cookie_sha256")),
    )
    op.create_index(op.f("ix_fs_visits_expires"), "fs_visits", ["expires"], unique=False)
    op.create_index(op.f("ix_fs_visits_guest_id"), "fs_visits", ["guest_id"], unique=False)
    op.create_index(op.f("ix_fs_visits_user_id"), "fs_visits", ["user_id"], unique=False)
    op.create_table(
        "fs_files",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("puid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored_size", sa.BigInteger(), nullable=False),
        sa.Column("mime", sa.String(length=255), nullable=False),
        sa.Column("iv", sa.String(length=100), nullable=False),
        sa.Column("aead", sa.String(length=1000), nullable=False),
        sa.Column("draft_key", sa.String(length=200), nullable=True),
        sa.Column("file_id", sa.BigInteger(), nullable=True),
        sa.Column("completed", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["draft_key"], ["drafts.key"], name=op.f("fk_fs_files_draft_key_drafts"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["file_id"], ["stored_files.id"], name=op.f("fk_fs_files_file_id_stored_files")),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["fs_transfers.id"], name=op.f("fk_fs_files_transfer_id_fs_transfers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fs_files")),
        sa.UniqueConstraint("puid", name=op.f("uq_fs_files_puid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fs_files_draft_key"), "fs_files", ["draft_key"], unique=False)
    op.create_index(op.f("ix_fs_files_file_id"), "fs_files", ["file_id"], unique=False)
    op.create_index(op.f("ix_fs_files_transfer_id"), "fs_files", ["transfer_id"], unique=False)
    op.create_table(
        "fs_recipients",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("transfer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("token", sa.String(length=36), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("last_activity", sa.BigInteger(), nullable=True),
        sa.Column("reminders", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transfer_id"],
            ["fs_transfers.id"],
            name=op.f("fk_fs_recipients_transfer_id_fs_transfers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fs_recipients")),
        sa.UniqueConstraint("token", name=op.f("uq_fs_recipients_token")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fs_recipients_transfer_id"), "fs_recipients", ["transfer_id"], unique=False)
    op.create_table(
        "fs_downloads",
        sa.Column("transaction_id", sa.String(length=36), nullable=False),
        sa.Column("recipient_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("file_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["file_id"], ["fs_files.id"], name=op.f("fk_fs_downloads_file_id_fs_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("transaction_id", "recipient_id", "file_id", name=op.f("pk_fs_downloads")),
    )


def downgrade() -> None:
    op.drop_table("fs_downloads")
    op.drop_index(op.f("ix_fs_recipients_transfer_id"), table_name="fs_recipients")
    op.drop_table("fs_recipients")
    op.drop_index(op.f("ix_fs_files_transfer_id"), table_name="fs_files")
    op.drop_index(op.f("ix_fs_files_file_id"), table_name="fs_files")
    op.drop_index(op.f("ix_fs_files_draft_key"), table_name="fs_files")
    op.drop_table("fs_files")
    op.drop_index(op.f("ix_fs_visits_user_id"), table_name="fs_visits")
    op.drop_index(op.f("ix_fs_visits_guest_id"), table_name="fs_visits")
    op.drop_index(op.f("ix_fs_visits_expires"), table_name="fs_visits")
    op.drop_table("fs_visits")
    op.drop_index(op.f("ix_fs_transfers_user_id"), table_name="fs_transfers")
    op.drop_index(op.f("ix_fs_transfers_status_expires"), table_name="fs_transfers")
    op.drop_index(op.f("ix_fs_transfers_guest_id"), table_name="fs_transfers")
    op.drop_table("fs_transfers")
    op.drop_table("fs_profiles")
    op.drop_table("fs_keys")
    op.drop_index(op.f("ix_fs_guests_user_id"), table_name="fs_guests")
    op.drop_index(op.f("ix_fs_guests_status"), table_name="fs_guests")
    op.drop_table("fs_guests")
    op.drop_table("draft_parts")
    op.drop_index(op.f("ix_fs_audit_transfer_id"), table_name="fs_audit")
    op.drop_index(op.f("ix_fs_audit_author_kind_author_id_event_created"), table_name="fs_audit")
    op.drop_table("fs_audit")
    op.drop_table("fs_applications")
    op.drop_index(op.f("ix_drafts_touched"), table_name="drafts")
    op.drop_table("drafts")
