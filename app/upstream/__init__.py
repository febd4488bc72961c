"""Clients of upstream services: over HTTP, within bounds, isolated from our own requests.

The only package that may use `httpx`. Each service has a file of its own, and sends requests
through `client.py`, so that a slow, failing, malicious or huge response takes bounded time and
memory.
"""
