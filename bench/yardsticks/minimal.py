"""A bare FastAPI application: what starting the framework costs."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    """Answer something."""
    return {"hello": "world"}
