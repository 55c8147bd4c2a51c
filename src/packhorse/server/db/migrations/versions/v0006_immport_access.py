"""API keys with scopes and an end, OAuth clients and codes, transfer grants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("uuid", sa.String(length=36), nullable=True))
        keys.add_column(sa.Column("scopes", sa.String(length=100), nullable=True))
        keys.add_column(sa.Column("expires", sa.BigInteger(), nullable=True))
        keys.create_unique_constraint(op.f("uq_api_keys_uuid"), ["uuid"])
    op.create_table(
        "oauth_clients",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("redirects", sa.JSON(), nullable=False),
        sa.Column("scopes", sa.String(length=100), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        _user("oauth_clients"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
    )
    op.create_table(
        "oauth_codes",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("redirect", sa.String(length=2000), nullable=False),
        sa.Column("challenge", sa.String(length=128), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("nonce", sa.String(length=500), nullable=True),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("session_id", sa.String(length=32), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        _user("oauth_codes"),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_oauth_codes")),
    )
    op.create_table(
        "transfer_grants",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("paths", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        _user("transfer_grants"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer_grants")),
    )
    for table in ("oauth_clients", "oauth_codes", "transfer_grants"):
        op.create_index(op.f(f"ix_{table}_user_id"), table, ["user_id"])
    for table in ("oauth_codes", "transfer_grants"):
        op.create_index(op.f(f"ix_{table}_expires"), table, ["expires"])


def _user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=op.f(f"fk_{table}_user_id_users"), ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in ("transfer_grants", "oauth_codes", "oauth_clients"):
        op.drop_table(table)
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_constraint(op.f("uq_api_keys_uuid"), type_="unique")
        for column in ("expires", "scopes", "uuid"):
            keys.drop_column(column)
