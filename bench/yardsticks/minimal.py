"""Minimal FastAPI application, the baseline for a start of the framework."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    """Respond with a constant."""
    return {"hello": "world"}
