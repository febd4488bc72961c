"""Times of the last renames of each account.

Revision: 0012, follows 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "renames",
        sa.Column("user_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("times", sa.String, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_renames"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_renames_user_id"),
    )


def downgrade() -> None:
    op.drop_table("renames")
