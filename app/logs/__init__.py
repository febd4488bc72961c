"""Structured logs: setup, lines, and a writer that never blocks a request."""
