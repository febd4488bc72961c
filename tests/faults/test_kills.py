"""kill -9 in the midst of writes through both APIs: what was acknowledged is there, once.

FAULT_KILLS says how many there are over both engines, FAULT_SEED what a failure names.
"""

import os
from pathlib import Path
from random import SystemRandom

import pytest

from tests.databases import ENGINES, new_store
from tests.faults.kills import KINDS, Programme

KILLS = int(os.environ.get("FAULT_KILLS", 2 * len(KINDS))) // len(ENGINES)
SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))


@pytest.mark.parametrize("engine", ENGINES)
def test_acknowledged_writes_outlive_a_kill(tmp_path: Path, engine: str) -> None:
    with new_store(engine, tmp_path) as database:
        programme = Programme(tmp_path, database, SEED)
        print(f"\n{engine}, FAULT_SEED={SEED}")
        programme.run(KILLS)
        print(*programme.figures.lines(programme.book), sep="\n")
