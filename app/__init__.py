"""Gatehouse: one user directory with two doors.

`main.py` and `__main__.py` are where it starts; `docs/architecture.md` shows the rooms.
"""
