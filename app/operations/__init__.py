"""Operations: each is an input dataclass and a function, used by both APIs.

To add an operation, write both in the module of its subject: the docstring says who may, the rules
and the errors, and becomes the description in the API documents. Then add it to `catalog.py`, and a
route in `app/rest/`. JSON-RPC and the parity check find it in the catalog.
"""
