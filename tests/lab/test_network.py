"""What a network leaves behind: nothing, or what the next one takes away."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import network
from lab.network import PREFIX, running
from tests.programs import Program

LONG_AGO = 3600
HOLDS = """
import asyncio
from pathlib import Path
from lab import network
network.memory = lambda: {folder!r}
async def main():
    async with network.running("loopback") as (made, _):
        print(made.folder, flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


def test_folder_of_a_killed_run_is_thrown_away_by_the_next_and_that_of_a_living_one_is_not(
    tmp_path: Path, start: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "memory", lambda: str(tmp_path))
    killed, living = (start(sys.executable, "-c", HOLDS.format(folder=str(tmp_path))) for _ in range(2))
    dead, held = Path(killed.line()), Path(living.line())
    killed.process.kill()
    killed.process.wait()
    (dead / "scene-1").mkdir()
    fresh, strange = tmp_path / f"{PREFIX}fresh", tmp_path / "lab-other"
    for folder in (fresh, strange):
        folder.mkdir()
    for folder in (dead, held, strange):
        os.utime(folder, (time.time() - LONG_AGO,) * 2)

    async def next_run() -> None:
        async with running("loopback") as (made, _):
            assert set(os.listdir(tmp_path)) == {folder.name for folder in (made.folder, held, fresh, strange)}

    asyncio.run(next_run())
    assert set(tmp_path.iterdir()) == {held, fresh, strange}
