"""Every implementation of presences."""

import pytest

from app.domain.ports import Presences
from app.domain.presence import Presence


def test_a_presence_is_none_until_it_was_set(presences: Presences) -> None:
    assert presences.get(1) is None


@pytest.mark.parametrize("presence", Presence)
def test_a_presence_is_the_one_last_set(presences: Presences, presence: Presence) -> None:
    presences.set(1, Presence.IDLE)
    presences.set(1, presence)
    assert presences.get(1) is presence


def test_everybody_has_a_presence_of_his_own(presences: Presences) -> None:
    presences.set(1, Presence.ONLINE)
    presences.set(2**63 - 1, Presence.DND)
    presences.drop(1)
    assert presences.get(1) is None
    assert presences.get(2**63 - 1) is Presence.DND


def test_a_presence_that_is_not_there_can_be_dropped(presences: Presences) -> None:
    presences.drop(1)
    presences.set(1, Presence.ONLINE)
    assert presences.get(1) is Presence.ONLINE
