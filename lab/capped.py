"""A stage's server as a program of its own, which may take so much memory and no more: for attacks on availability.

There the server's processor and memory are what is attacked, so it may not share them with its attackers and its
members. Whoever grows beyond the cap is ended at once, as a machine's kernel ends whoever takes its last memory.
(RLIMIT_AS would make one allocation fail instead, and it would be chance whose: a big server ends otherwise.)
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import stages
from common.command_line import limits_for, run_server
from common.errors import LabError
from common.hosts import DOMAIN, Host
from common.levers import Levers
from common.limits import Limits
from common.session import Address
from lab.hosting import serve_for_good
from stages import Stage

MEMORY: Final = 192 * 1024 * 1024
"""What the server may take beyond what it has when it starts, in bytes: a room, and a few hashes of 19 MiB at once."""
LOOK_SECONDS: Final = 0.02
"""How often its memory is looked at."""
START_SECONDS: Final = 20.0
END_SECONDS: Final = 5.0
READY: Final = b"ready\n"
ROOT: Final = Path(__file__).parent.parent


@contextlib.asynccontextmanager
async def capped(stage: Stage, levers: Levers, host: Host, folder: Path) -> AsyncIterator[tuple[Address, list[str]]]:
    """Such a server on this host, until the block ends: its address, and, once it was ended for it, that it was.

    Raises LabError where it does not start, or where this system does not tell what a program takes (not Linux).
    """
    listener = await host.listen(stage.port)
    fd = listener.fileno()
    command = [sys.executable, "-m", "lab.capped", str(fd), str(stage.number), str(folder), " ".join(_words(levers))]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=[fd], cwd=ROOT
    )
    address = (f"{host.name}.{DOMAIN}", listener.getsockname()[1])
    listener.close()
    ended: list[str] = []
    try:
        async with asyncio.timeout(START_SECONDS):
            if not process.stdout or await process.stdout.readline() != READY:
                raise LabError("The server did not start.")
        watching = asyncio.create_task(_watch(process, ended))
        try:
            yield address, ended
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    finally:
        if process.stdin:
            process.stdin.close()  # at its end the server leaves
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _words(levers: Levers) -> list[str]:
    return [f"{name}={setting}" for name, setting in levers.turned().items()]


async def _watch(process: asyncio.subprocess.Process, ended: list[str]) -> None:
    """End it once it takes more than it may."""
    began = _memory(process.pid)
    while process.returncode is None:
        if _memory(process.pid) > began + MEMORY:
            ended.append(f"the server took more than {MEMORY >> 20} MiB, and was ended")
            process.kill()
            await process.wait()
            return
        await asyncio.sleep(LOOK_SECONDS)


def _memory(pid: int) -> int:
    """Resident memory in bytes; none once it has ended. Raises LabError where the system does not tell."""
    if not Path("/proc/self/statm").exists():
        raise LabError("These attacks are judged with a cap on the server's memory, which only Linux can tell of.")
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


async def _serve(listener: socket.socket, stage: Stage, folder: Path, levers: Levers) -> None:
    """Serve until standard input ends."""
    server: Any = stage.server(levers, folder)
    tls = stage.server_tls(levers, folder)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(0, over.set)
    await serve_for_good(server, levers, limits_for(levers, Limits()), listener, tls)
    os.write(1, READY)
    await over.wait()
    os._exit(0)  # whatever it is stuck in


def main() -> None:
    """What the other side of `capped` runs."""
    _, fd, number, folder, words = sys.argv
    stage = stages.find(int(number))
    levers = Levers.parse(words, stage.levers)
    work = _serve(socket.socket(fileno=int(fd)), stage, Path(folder), levers)
    run_server(work, tls=stage.wants_authority)


if __name__ == "__main__":
    main()
