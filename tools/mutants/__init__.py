"""Mutation tests of guards: each guard is removed or inverted while its tests run.

`python -m tools.mutants` (`make mutants`) lists the changes that no test detects. Other tools
(mutmut, cosmic-ray) change all code instead of guards, and restart pytest for each change. Here
pytest collects once, and a fork with the changed function runs the tests that reach the line.
"""
