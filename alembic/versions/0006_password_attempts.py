"""Wrong passwords are counted with the account, so that a lock outlives every process.

Revision: 0006, follows 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "password_attempts",
        sa.Column("subject", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("place", _TEXT, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.BigInteger),
        sa.Column("familiar_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("subject", "place", name="pk_password_attempts"),
    )


def downgrade() -> None:
    op.drop_table("password_attempts")
