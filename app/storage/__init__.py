"""The store: tables, engine, one file per port.

To add a column: the table in `tables.py`, a migration in `alembic/versions/` (`alembic revision
--autogenerate` drafts it), the file of its port, and `constraints.py` where it is unique. Queries
are SQLAlchemy Core on the tables of the models; nothing outside this package sees a row.
"""
