"""A stage's own server, for the benchmarks: its sessions and its runtime as they are, with wider limits.

    python -m benchmarks.serve STAGE PORT FOLDER [MEMBERS [LEVERS]]

The limits that are set wider: connections, also those from one address, the time to join, the backlog of a member, and
the speed of one client in bytes and in messages, so that what is measured is the server's speed and not who is dropped.
A Sampler stands by (`benchmarks.sampling`), which does nothing until it is told to, and writes to FOLDER. From stage 2
on FOLDER gets MEMBERS accounts called m00000 and so on, whose password is PASSWORD, kept with `password_hash=sha256`:
logging in is not what is measured. With LEVERS, as in "runtime=threads", they are what is turned, and nothing else is.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import stages
from benchmarks.sampling import Sampler
from common.command_line import run_server
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from lab.hosting import serve_for_good

LIMITS: Final = Limits(
    connections=20_000,
    connections_per_address=20_000,
    says_per_second=1 << 60,
    join_seconds=600,
    backlog_bytes=256 * 1024 * 1024,
    bytes_per_second=1e12,
    burst_bytes=1e12,
    waiting_for_work=20_000,
)
PASSWORD: Final = "correct horse"  # noqa: S105 - of accounts that exist for seconds
PROFILE: Final = "profile.json"


async def serve(number: int, port: int, folder: Path, members: int, turned: str | None) -> None:
    """Listen until this process is ended; a line on standard output says that it listens."""
    stage = stages.find(number)
    if turned is None:
        turned = "password_hash=sha256" if stage.wants_password else ""
    levers = Levers.parse(turned, stage.levers)
    server: Any = stage.server(levers, folder)
    for i in range(members if stage.wants_password else 0):
        server.accounts.register(f"m{i:05}", PASSWORD)
    listener, tls = await ThisMachine().listen(port), stage.server_tls(levers, folder)
    await serve_for_good(server, levers, LIMITS, listener, tls)
    print("Listening.", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    _, number, port, folder, *members = sys.argv
    Sampler(Path(folder) / PROFILE)
    rest = members[1] if len(members) > 1 else None
    work = serve(int(number), int(port), Path(folder), int(members[0]) if members else 0, rest)
    run_server(work, tls=stages.find(int(number)).wants_authority)
