"""Measures Gatehouse against yardsticks of the same run: `make bench`, `python -m bench --help`.

`__main__` reads the command line, `bench` holds what the parts share, each module of `parts/` is a
part that can be run alone, and `report` says what came out. What is asked stands in `works`, of
whom in `accounts` and `seed`; `load` asks it with wrk.
"""
