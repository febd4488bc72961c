"""What can be done here, once: one operation is one input dataclass and one function.

To add an operation: write both in the file of its subject (the docstring says who may, what holds
and which errors; it becomes the description in the documents), add its row to `registry.py`, and
give it a route in `app/rest/`. The chat door and the parity check find it by its row.
"""
