"""The store: tables, migrations and repositories, on SQLite and PostgreSQL.

To add a column, change the table in `tables.py`, add a migration in `alembic/versions/` (`alembic
revision --autogenerate` drafts it), and map a unique constraint in `constraints.py`. Queries are
SQLAlchemy Core on the tables of the models; no row leaves this package.
"""
