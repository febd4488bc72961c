"""JSON-RPC 2.0 API at `POST /rpc`.

`envelope.py` implements the protocol, `methods.py` has the table of methods, `error_codes.py` maps
the errors of the catalogue, and `endpoint.py` handles requests. An operation becomes a method by
its entry in `app.operations.catalog`.
"""
