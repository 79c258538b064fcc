"""`lab report --measure`: a room in threads against a room in one event loop, measured for the lab report.

Stage 1's server runs twice, on 127.0.0.1: with a thread for each client (`common.threads`) and in one event loop
(`common.runtime`). A process of its own holds the members, plain sockets; member 0 sends a burst, and a round ends when
all others have every byte of it. The event loop writes what is due to a member once a turn, the threads once a
message, which is most of the difference. Medians of the rounds, on this machine, with whatever else it does.
"""

import asyncio
import contextlib
import json
import multiprocessing
import selectors
import socket
import statistics
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import stages
from common.errors import LabError
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from common.messages import Join, Say
from common.runtime import ServerRuntime
from common.threads import ThreadServer
from common.wire import encode
from lab.report_figures import RUNTIMES
from lab.runs import write_text

MEMBERS, MESSAGES, ROUNDS = 50, 200, 5
SECONDS: Final = 60.0
"""The longest that anything here may take."""
LINE: Final = encode(Say(sender="member-0", text="x" * 20))
MARK: Final = encode(Say(sender="member-0", text="everybody is here"))
OPEN: Final = Limits(join_seconds=60, backlog_bytes=1 << 28, bytes_per_second=1e12, burst_bytes=1e12)
"""The threads have no limits, so the event loop gets none that would be met."""


def members(address: tuple[str, int], bench: Connection) -> None:
    """The members' process: joins, then answers every request with the seconds that a burst took."""
    sockets = []
    for number in range(MEMBERS):
        sockets.append(socket.create_connection(address, timeout=SECONDS))
        sockets[-1].sendall(encode(Join(name=f"member-{number}", udp_port=9)))
        sockets[-1].recv(1 << 20)  # the roster: this one is inside before the next comes
    sender, *others = sockets
    sender.sendall(MARK)
    for each in others:
        heard = b""
        while not heard.endswith(MARK):
            heard += each.recv(1 << 20)
    with selectors.DefaultSelector() as selector:
        for each in others:
            selector.register(each, selectors.EVENT_READ)
        bench.send(0.0)
        while bench.recv():
            bench.send(_burst(sender, selector, len(others)))
    for each in sockets:
        each.close()


def _burst(sender: socket.socket, selector: selectors.BaseSelector, others: int) -> float:
    """Seconds until everybody else has all of a burst."""
    due = len(LINE) * MESSAGES * others
    sending = threading.Thread(target=sender.sendall, args=(LINE * MESSAGES,))
    began = time.perf_counter()
    sending.start()
    while due:
        for key, _ in selector.select():
            due -= len(key.fileobj.recv(1 << 16))  # type: ignore[union-attr] # a socket, as registered
    took = time.perf_counter() - began
    sending.join()
    return took


def measure(folder: Path) -> Path:
    """Measure both and keep what came out in this folder. Raises LabError where it cannot be kept."""
    taken = asyncio.run(_both())
    kept = {"members": MEMBERS, "messages": MESSAGES, "rounds": ROUNDS, **taken}
    write_text(folder / RUNTIMES, json.dumps(kept, indent=2))
    return folder / RUNTIMES


async def _both() -> dict[str, float]:
    """The median seconds of a burst, for each runtime."""
    return {"asyncio": await _event_loop(), "threads": await _threads()}


async def _event_loop() -> float:
    listener = await ThisMachine().listen(0)
    runtime = ServerRuntime(_server(), OPEN)
    await runtime.start(listener)
    try:
        return await asyncio.to_thread(_rounds, listener.getsockname())
    finally:
        await runtime.stop()


async def _threads() -> float:
    listener = await ThisMachine().listen(0)
    listener.setblocking(True)
    serving = asyncio.create_task(asyncio.to_thread(ThreadServer(_server()).serve, listener))
    try:
        return await asyncio.to_thread(_rounds, listener.getsockname())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        await serving
        listener.close()


def _server() -> Any:
    stage = stages.find(1)
    return stage.server(Levers(known=stage.levers), Path())


def _rounds(address: tuple[str, int]) -> float:
    """Start the members, ask for rounds, end them."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=members, args=(address, there), daemon=True)
    process.start()
    there.close()
    try:
        _answer(here)
        return statistics.median(_asked(here) for _ in range(ROUNDS))
    finally:
        with contextlib.suppress(OSError):
            here.send(False)
        process.join(SECONDS)
        process.kill()
        here.close()


def _asked(bench: Connection) -> float:
    bench.send(True)
    return _answer(bench)


def _answer(bench: Connection) -> float:
    with contextlib.suppress(EOFError):
        if bench.poll(SECONDS):
            return float(bench.recv())
    raise LabError(f"The members did not get everything within {SECONDS:g} s; nothing was measured.")
