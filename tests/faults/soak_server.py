"""The server of the soak, in a process of its own: the stage's own, as by hand, which says what it holds when asked.

It answers each line on its standard input with one of JSON, and ends with its standard input.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Final

import stages
from common.command_line import run_server
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from common.runtime import ServerRuntime

BACKLOG_BYTES: Final = 64 * 1024
KERNEL_BYTES: Final = 16 * 1024
"""Small, so that who does not read is noticed within a soak of seconds."""


def resident() -> int:
    """How much memory this process has, in KiB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def give_back() -> None:
    """Let the allocator give back what nobody holds any more. What glibc keeps between two crowds in TLS is tens of
    MiB, comes and goes, and would hide a leak or look like one."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # where there is another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def held(runtime: ServerRuntime) -> dict[str, int]:
    """What the process holds just now; memory also as the system sees it before the allocator gives any back."""
    before = resident()
    give_back()
    return {
        "rss": resident(),
        "kept": before,
        "objects": len(gc.get_objects()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "connections": len(runtime.connections),
        "open": len(runtime.open),
        "working": runtime.slow_work.number,
        "threads": threading.active_count(),
    }


async def serve(stage: stages.Stage, levers: str, folder: Path, connections: int) -> None:
    """Serve until standard input ends."""
    turned = Levers.parse(levers, stage.levers)
    listener = await ThisMachine().listen(0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)  # what it accepts inherits it
    limits = Limits(
        connections=connections,
        connections_per_address=connections,
        backlog_bytes=BACKLOG_BYTES,
        waiting_for_work=connections,
    )
    runtime = ServerRuntime(stage.server(turned, folder), limits)
    port = listener.getsockname()[1]
    await runtime.start(listener, stage.server_tls(turned, folder))
    orders: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(0, lambda: orders.put_nowait(os.read(0, 4096).decode()))
    print(json.dumps({"port": port}), flush=True)
    while await orders.get():
        print(json.dumps(held(runtime)), flush=True)
    await runtime.stop()


if __name__ == "__main__":
    number, levers, folder, connections = sys.argv[1:]
    stage = stages.find(int(number))
    tls = stage.server_tls(Levers(known=stage.levers), Path(folder)) is not None
    run_server(serve(stage, levers, Path(folder), int(connections)), tls=tls)
