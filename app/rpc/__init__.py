"""The chat door: JSON-RPC 2.0 at `POST /rpc`.

`envelope.py` knows the protocol and nothing else, `methods.py` is the table of methods, `errors.py`
gives each error of the catalogue its code, and `endpoint.py` goes from bytes to bytes. A new
operation becomes a method by its row in `app.usecases.registry`.
"""
