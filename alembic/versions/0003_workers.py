"""Snowflake worker numbers are leased, for processes on many machines.

Revision: 0003, follows 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_workers"),
    )


def downgrade() -> None:
    op.drop_table("workers")
