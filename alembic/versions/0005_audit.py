"""The audit log: an append-only table.

Revision: 0005, follows 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_REFUSAL = "the audit trail is only added to"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", _TEXT),
        sa.Column("action", _TEXT, nullable=False),
        sa.Column("outcome", _TEXT, nullable=False),
        sa.Column("target_kind", sa.String),
        sa.Column("target_id", _TEXT),
        sa.Column("changes", sa.String, nullable=False),
        sa.Column("door", sa.String, nullable=False),
        sa.Column("address", sa.String),
        sa.Column("request_id", sa.String),
        sa.Column("credential_kind", sa.String),
        sa.Column("credential_id", sa.String),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_at_number", "audit", ["at", "number"])
    op.create_index("ix_audit_actor_at_number", "audit", ["actor", "at", "number"])
    op.create_index("ix_audit_target_id_at_number", "audit", ["target_id", "at", "number"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def downgrade() -> None:
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuse")


def _guard_postgresql() -> None:
    op.execute(
        f"""
        CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def _guard_sqlite() -> None:
    """REPLACE deletes without telling a trigger on DELETE (sqlite.org/lang_conflict.html)."""
    replaced = "WHEN EXISTS (SELECT 1 FROM audit WHERE number = new.number)"
    for event, condition in (("UPDATE", ""), ("DELETE", ""), ("INSERT", replaced)):
        op.execute(
            f"CREATE TRIGGER audit_refuse_{event.lower()} BEFORE {event} ON audit {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
