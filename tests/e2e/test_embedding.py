"""The application in another ASGI server."""

from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio
KEY = "A1B2C3D4-aaaa-bbbb-cccc-ddddeeee"


async def test_an_application_without_services_starts_as_the_server_does(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path / "var", bootstrap_admin_key=KEY))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        users = await client.get("/users", headers={"X-Access-Token": KEY})
    assert [user["username"] for user in users.json().values()] == ["admin"]
