"""Corpora of hostile and unusual inputs, each vector with a description.

They correspond to published collections, but are generated here from the specifications.
`python -m tools.corpora` prints them, and `tests/corpora/` runs them.
"""
