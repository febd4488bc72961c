"""The report on an account: why its user cannot sign in."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import UpstreamTimeout
from app.domain.guilds_and_servers import PanelServer
from app.domain.ports.store import Transaction
from app.domain.rate_limits import FAILURES_BEFORE_LOCK, LOCK_MIN, LoginAttempts
from app.domain.rules import Rules
from app.operations import operator
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator.account_report import AccountReport
from tests.fakes.ports import FakeClock, FakePanel
from tests.fakes.services import account, make_services, sign_up

pytestmark = pytest.mark.anyio

SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
HOME, WORK = "203.0.113.7", "198.51.100.9"


async def report(services: Services, name: str = "alice") -> AccountReport:
    return await operator.report_account(services, name)


async def fail(services: Services, clock: FakeClock, **places: int) -> None:
    """Store wrong passwords by place: at home, at work, or elsewhere."""
    user, now = await account(services, "alice"), clock.now()
    until = now + timedelta(days=1)
    rows = {
        "home": LoginAttempts(user.id, HOME, failed_at=now, familiar_until=until),
        "left": LoginAttempts(user.id, WORK, failed_at=now, familiar_until=now),
        "elsewhere": LoginAttempts(user.id, failed_at=now),
    }

    def put(tx: Transaction) -> None:
        for place, failures in places.items():
            row = rows[place]
            tx.login_attempts.save(
                LoginAttempts(row.subject, row.place, failures, now, row.familiar_until)
            )

    await services.store.write(put)


def details(found: AccountReport) -> list[Any]:
    return [(obstacle["code"], obstacle["detail"]) for obstacle in found["obstacles"]]


async def test_an_account_without_faults_has_no_obstacle(services: Services) -> None:
    await sign_up(services, "alice")
    found = await report(services)
    assert (found["obstacles"], found["wrong_passwords"], found["locked_until"]) == ([], [], None)


async def test_each_place_with_a_lock_is_an_obstacle_until_it_ends(
    services: Services, clock: FakeClock
) -> None:
    await sign_up(services, "alice")
    await fail(services, clock, home=FAILURES_BEFORE_LOCK, elsewhere=FAILURES_BEFORE_LOCK + 1)
    found = await report(services)
    by_place = {
        wrong["network"]: (wrong["failures"], wrong["locked_until"])
        for wrong in found["wrong_passwords"]
    }
    at_home, elsewhere = clock.now() + LOCK_MIN, clock.now() + 2 * LOCK_MIN
    assert by_place == {
        HOME: (FAILURES_BEFORE_LOCK, at_home),
        None: (FAILURES_BEFORE_LOCK + 1, elsewhere),
    }
    assert found["locked_until"] == elsewhere
    (code, one), (_, two) = sorted(details(found), key=lambda detail: HOME in detail[1])
    assert code == "locked"
    assert "networks without a recent login" in one
    assert HOME in two
    assert "'gatehouse users unlock alice'" in one
    clock.turn(LOCK_MIN)
    assert len((await report(services))["obstacles"]) == 1
    clock.turn(LOCK_MIN)
    found = await report(services)
    assert (found["obstacles"], found["locked_until"]) == ([], None)
    assert len(found["wrong_passwords"]) == 2


async def test_a_place_that_is_no_longer_familiar_and_too_few_failures_lock_nothing(
    services: Services, clock: FakeClock
) -> None:
    await sign_up(services, "alice")
    await fail(services, clock, left=FAILURES_BEFORE_LOCK, elsewhere=FAILURES_BEFORE_LOCK - 1)
    assert details(await report(services)) == []


async def test_without_rate_limits_there_are_no_locks(services: Services, clock: FakeClock) -> None:
    await sign_up(services, "alice")
    await fail(services, clock, elsewhere=99)
    unlimited = make_services(store=services.store, clock=clock, rules=Rules(rate_limits=False))
    found = await report(unlimited)
    assert (details(found), found["wrong_passwords"]) == ([], [])


async def test_the_servers_are_those_of_the_panel_or_unknown(
    services: Services, clock: FakeClock
) -> None:
    user = await sign_up(services, "alice")
    panel = FakePanel()
    with_panel = make_services(store=services.store, clock=clock, panel=panel)
    panel.servers[user.uuid] = [PanelServer(SERVER, True)]
    assert (await report(with_panel))["servers"] == [SERVER]
    panel.error = UpstreamTimeout("panel")
    assert (await report(with_panel))["servers"] is None
    assert (await report(services))["servers"] == []


async def test_all_obstacles_are_named_together(
    services: Services, clock: FakeClock, admin: Caller
) -> None:
    await operator.set_disabled(services, (await sign_up(services, "alice")).uuid, True)
    await fail(services, clock, elsewhere=FAILURES_BEFORE_LOCK)
    assert [code for code, _ in details(await report(services))] == ["account-disabled", "locked"]
    assert [code for code, _ in details(await report(services, "admin"))] == ["no-password"]
