"""The outbox, and the panel's servers that were stopped with their owners.

Revision: 0008, follows 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("subject", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("outcome", sa.String),
        sa.Column("error", sa.String),
        sa.Column("holder", sa.String),
        sa.Column("leased_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("number", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_subject_number", "outbox", ["subject", "number"])
    for name, columns, condition in (
        ("ix_outbox_due", ["due_at"], "state = 'waiting'"),
        ("ix_outbox_open", ["kind", "state", "created_at"], "state <> 'done'"),
        ("ix_outbox_done", ["ended_at"], "state = 'done'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "outbox", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "stopped_servers",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("server", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "server", name="pk_stopped_servers"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_stopped_servers_user_id"),
    )


def downgrade() -> None:
    op.drop_table("stopped_servers")
    op.drop_table("outbox")
