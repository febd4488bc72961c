"""Idempotency records: a repeated request is performed once and gets the first response.

Revision: 0007, follows 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "idempotency_records",
        sa.Column("caller", _TEXT, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency_records"),
    )
    op.create_index("ix_idempotency_records_made_at", "idempotency_records", ["made_at"])


def downgrade() -> None:
    op.drop_table("idempotency_records")
