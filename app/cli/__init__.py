"""Command line: one module per group of commands; `main.py` assembles them."""
