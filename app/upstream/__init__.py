"""What other services know: asked over HTTP, within bounds, and never at the cost of ours.

The only room that may use `httpx`. A new service gets a file of its own, and asks through
`client.py`, so that one that is slow, down, lying or huge takes a bounded time and memory.
"""
