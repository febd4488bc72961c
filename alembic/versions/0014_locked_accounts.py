"""Find the accounts that are locked, of which there are few, without reading all attempts.

Revision: 0014, follows 0013.
"""

from alembic import op
from sqlalchemy import text

revision = "0014"
down_revision = "0013"

_ROWS = text("failures >= 10")


def upgrade() -> None:
    op.create_index(
        "ix_password_attempts_locking",
        "password_attempts",
        ["failed_at"],
        sqlite_where=_ROWS,
        postgresql_where=_ROWS,
    )


def downgrade() -> None:
    op.drop_index("ix_password_attempts_locking")
