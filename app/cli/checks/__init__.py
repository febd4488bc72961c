"""Checks of `gatehouse doctor`."""
