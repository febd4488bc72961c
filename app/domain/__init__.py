"""Domain rules: accounts, names, passwords, credentials, permissions, and the error catalogue.

Plain values and pure functions over the standard library, `precis-i18n`, `email-validator` and the
Unicode TS 39 data; no I/O, no storage, no protocol. A new rule goes into the module of its subject,
a new error into `errors.py`, a new dependency on the outside into `ports.py`.
"""
