"""Benchmark of Gatehouse against baselines of the same run: `make bench`, `python -m bench --help`.

`__main__` reads the command line, `bench` has what the parts share, each module of `parts/` is a
part that can be run alone, and `report` writes the results. `works` has the requests, `accounts`
and `seed` the data they refer to, and `load` sends them with wrk.
"""
