"""Bare ASGI function, the baseline for uvicorn alone: `uvicorn bench.yardsticks.bare:app`."""

from typing import Any

ANSWER = (
    b'{"id":"250254688375537664","username":"user","display_name":"user","presence":null}'
).ljust(150)
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"150")],
}
_BODY = {"type": "http.response.body", "body": ANSWER}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Respond with 150 bytes of JSON, after reading the body of a POST."""
    if scope["method"] == "POST":
        while (await receive()).get("more_body", False):
            pass
    await send(_START)
    await send(_BODY)
