"""How fast one room is: one write per member and turn, against one write per message and member.

    python -m benchmarks.room [--members 100] [--rounds 5] [--json]

Both servers drive the sessions of stage 1 in one event loop, over TCP on 127.0.0.1. The naive one is a first asyncio
server: for each message and each member it encodes, writes, and awaits `drain`. Its reader, decoder and sessions are
the lab's own, so that nothing but the way of sending differs. The lab's one runs with a backlog limit of 256 MiB and
without a limit of speed, so that what is measured is its own speed and not who is dropped; the naive one has no limits.

Member 0 sends a burst of messages in one piece (texts of 20 characters); a round ends when all the others, plain
sockets in a process of their own, have read every byte that is due to them. Throughput is deliveries a second: messages
times the members they went to. Medians over the rounds, which the two servers take in turn.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

from benchmarks.serve import LIMITS
from common.hosts import ThisMachine
from common.messages import Join, Say
from common.runtime import ServerRuntime
from common.session import Send
from common.wire import LineReader, decoder, encode
from stages.stage1_plaintext.server import Server

BURSTS: Final = (1, 10, 100, 1000, 4000)
LINE: Final = encode(Say(sender="member-0", text="x" * 20))
MARK: Final = encode(Say(sender="member-0", text="everybody is here"))


class NaiveServer:
    """Encode, write and drain, for each message and each member."""

    def __init__(self) -> None:
        self.server = Server()
        self.writers: dict[Any, asyncio.StreamWriter] = {}
        self.gone = asyncio.Event()

    async def start(self, listener: socket.socket) -> None:
        """Serve whoever connects."""
        self.listener = await asyncio.start_server(self.attend, sock=listener, backlog=512)

    async def stop(self) -> None:
        """Wait until all members have left."""
        self.listener.close()
        await self.gone.wait()

    async def attend(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        """One client, from connect to disconnect."""
        session = self.server.session(outgoing.get_extra_info("peername")[0])
        self.writers[session] = outgoing
        reader = LineReader()
        with contextlib.suppress(ConnectionError):
            while data := await incoming.read(256 * 1024):
                for line in reader.feed(data):
                    for effect in session.received(decoder(session.accepts).decode(line)):
                        if isinstance(effect, Send):
                            for recipient in effect.to:
                                self.writers[recipient].write(encode(effect.message))
                                await self.writers[recipient].drain()
        session.disconnected()
        outgoing.close()
        del self.writers[session]
        if not self.writers:
            self.gone.set()


def members(address: tuple[str, int], number: int, bench: Connection) -> None:
    """The members' process: told the size of a burst, sends it as member 0, answers how long all others waited."""
    sockets = []
    for i in range(number):
        sockets.append(socket.create_connection(address))
        sockets[-1].sendall(encode(Join(name=f"member-{i}", udp_port=9)))
        sockets[-1].recv(1 << 20)  # the roster: this one is inside before the next comes
    sender, *others = sockets
    sender.sendall(MARK)
    buffer = bytearray(1 << 20)
    with selectors.DefaultSelector() as selector:
        for sock in others:
            heard = b""
            while not heard.endswith(MARK):
                heard += sock.recv(1 << 20)
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, sock.recv_into)
        bench.send(None)
        while burst := bench.recv():
            due = len(LINE) * burst * len(others)
            sending = threading.Thread(target=sender.sendall, args=(LINE * burst,))
            start = time.perf_counter()
            sending.start()
            while due:
                for key, _ in selector.select():
                    due -= key.data(buffer)
            bench.send(time.perf_counter() - start)
            sending.join()
    for sock in sockets:
        sock.close()


async def measure(number: int, rounds: int) -> list[dict[str, float]]:
    """Deliveries a second of both servers, for each size of a burst."""
    makers: dict[str, Callable[[], Any]] = {"lab": lambda: ServerRuntime(Server(), LIMITS), "naive": NaiveServer}
    rooms: dict[str, Connection] = {}
    servers, processes = [], []
    spawn = multiprocessing.get_context("spawn")
    for name, make in makers.items():
        listener = await ThisMachine().listen(0)
        address = listener.getsockname()
        servers.append(make())
        await servers[-1].start(listener)
        rooms[name], theirs = spawn.Pipe()
        processes.append(spawn.Process(target=members, args=(address, number, theirs)))
        await asyncio.to_thread(processes[-1].start)
        await asyncio.to_thread(rooms[name].recv)
    results = []
    for burst in BURSTS:
        seconds: dict[str, list[float]] = {name: [] for name in rooms}
        for _ in range(rounds + 1):
            for name, bench in rooms.items():
                bench.send(burst)
                seconds[name].append(await asyncio.to_thread(bench.recv))
        deliveries = burst * (number - 1)
        speed = {name: deliveries / statistics.median(times[1:]) for name, times in seconds.items()}  # the 1st warms up
        results.append({"burst": burst, **speed, "ratio": speed["lab"] / speed["naive"]})
    for bench in rooms.values():
        bench.send(0)
    for server in servers:
        await server.stop()
    for process in processes:
        await asyncio.to_thread(process.join)
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One write per member and turn, against one per message and member.")
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    results = asyncio.run(measure(options.members, options.rounds))
    if options.json:
        print(json.dumps({"members": options.members, "rounds": options.rounds, "results": results}))
        return
    print(f"{options.members} members, medians of {options.rounds} rounds; deliveries a second")
    print(f"{'burst':>7}{'naive':>12}{'lab':>12}{'ratio':>8}")
    for row in results:
        print(f"{row['burst']:>7}{row['naive']:>12,.0f}{row['lab']:>12,.0f}{row['ratio']:>7.1f}x")


if __name__ == "__main__":
    main()
