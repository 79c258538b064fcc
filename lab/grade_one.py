"""One submission's exercise, graded in a process of its own: `python -m lab.grade_one STAGE FOLDER NETWORK`.

What comes out is one JSON object on standard output. When the process that started this one closes its end of standard
input, or dies, the grading is given up and everything that was started is taken down.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import stages
from common.errors import LabError


async def graded(number: int, folder: Path, network: str) -> dict[str, Any]:
    """The outcome, or why there is none."""
    from lab.exercise.check import check

    try:
        return {"outcome": (await check(stages.find(number), folder, network=network)).to_json()}
    except LabError as why:
        return {"error": str(why)}


async def until_given_up(number: int, folder: Path, network: str) -> dict[str, Any]:
    """Grade, unless standard input ends first."""
    task = asyncio.create_task(graded(number, folder, network))
    given_up = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: None if os.read(0, 1) else given_up.set())
    waiting = asyncio.create_task(given_up.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    asyncio.get_running_loop().remove_reader(0)
    for each in (task, waiting):
        if not each.done():
            each.cancel()
    await asyncio.wait([task, waiting])
    return {"error": "it was given up"} if task.cancelled() else task.result()


def main() -> None:
    """Grade what the command line names."""
    number, folder, network = sys.argv[1:]
    print(json.dumps(asyncio.run(until_given_up(int(number), Path(folder), network))))


if __name__ == "__main__":
    main()
