"""What is true here: accounts, names, passwords, credentials, who may do what, what can go wrong.

Plain values and pure functions over the standard library, `precis-i18n`, `email-validator` and
the Unicode TS 39 data; nothing here waits, stores or speaks a protocol. A new rule goes into the
file of its subject, a new refusal into `errors.py`, a new need of the outside into `ports.py`.
"""
