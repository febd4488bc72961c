"""Let readers follow the audit log by number, on PostgreSQL.

Revision: 0013, follows 0012.

Numbers are given in another order than that of the commits. So a transaction that takes one holds a
lock until its commit, whose key is a lower bound of the number: pg_locks shows readers up to which
number the log is complete. A transaction takes one lock for any number of entries.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

# The high bits of the lock's key; app/storage/repositories/audit.py has the same.
_LOCKS = 0x6761


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        f"""
        CREATE FUNCTION audit_next_number() RETURNS bigint LANGUAGE plpgsql AS $$
        BEGIN
            IF coalesce(current_setting('gatehouse.audit_lock', true), '') = '' THEN
                PERFORM pg_advisory_xact_lock_shared(
                    ({_LOCKS}::bigint << 48)
                    | coalesce(pg_sequence_last_value('audit_number_seq'), 0)
                );
                PERFORM set_config('gatehouse.audit_lock', 'held', true);
            END IF;
            RETURN nextval('audit_number_seq');
        END $$
        """
    )
    op.execute("ALTER TABLE audit ALTER COLUMN number SET DEFAULT audit_next_number()")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE audit ALTER COLUMN number SET DEFAULT nextval('audit_number_seq')")
    op.execute("DROP FUNCTION audit_next_number")
