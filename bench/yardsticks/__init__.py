"""Baselines of the benchmark, each in its own process."""
