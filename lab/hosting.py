"""Running a stage's server and clients on hosts of the lab, as the levers ask for."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from common import threads
from common.client import Client
from common.command_line import blocking, limits_for, reader_for
from common.hosts import DOMAIN, Host
from common.levers import Levers
from common.limits import Limits
from common.runtime import ServerRuntime
from common.session import Address, ClientSession, Person, Server, ServerEffect, Show
from stages import Stage


class Seat(Protocol):
    """A client as whoever sits at it has it, wherever its program runs; `common.client.Client` is one."""

    ended: asyncio.Event

    @property
    def session(self) -> Any:
        """Its side of the conversation, or what is known of it."""

    @property
    def transport(self) -> Any:
        """Its connection: `is_closing()`."""

    def typed(self, line: str) -> None:
        """The person typed a line."""

    def close(self) -> None:
        """Leave."""


def _in_turn(threaded: threads.ThreadServer, session: Any, effects: list[ServerEffect]) -> None:
    """What somebody wants who is in no session's thread waits for its turn, as every client does."""
    with threaded.lock:
        threaded.perform(session, effects)


@dataclass(frozen=True)
class Running:
    """A server that runs: where clients find it, and how to make it do something of the operator's own."""

    address: Address
    perform: Callable[[Any, list[ServerEffect]], Any]


@contextlib.asynccontextmanager
async def running_server(
    stage: Stage, levers: Levers, host: Host, server: Server, folder: Path
) -> AsyncIterator[Running]:
    """A stage's server on this host, until the block ends."""
    listener = await host.listen(stage.port)
    address = (f"{host.name}.{DOMAIN}", listener.getsockname()[1])
    if levers["runtime"] == "threads":
        listener = blocking(listener, stage.server_tls(levers, folder))
        threaded = threads.ThreadServer(server, reader_for(levers))
        serving = asyncio.create_task(asyncio.to_thread(threaded.serve, listener))
        try:
            yield Running(address, lambda session, effects: _in_turn(threaded, session, effects))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await serving
            listener.close()
        return
    runtime = ServerRuntime(server, limits_for(levers, Limits()), reader_for(levers))
    await runtime.start(listener, stage.server_tls(levers, folder))
    try:
        yield Running(address, lambda session, effects: runtime.perform(runtime.connections.get(session), effects))
    finally:
        await runtime.stop()


async def serve_for_good(
    server: Server, levers: Levers, limits: Limits, listener: socket.socket, tls: ssl.SSLContext | None
) -> None:
    """Begin to serve whoever connects, for as long as this process lives: for a server that is a program of its own.

    limits: for the event loop; `runtime=threads` has none.
    """
    if levers["runtime"] == "threads":
        threaded = threads.ThreadServer(server, reader_for(levers))
        threading.Thread(target=threaded.serve, args=(blocking(listener, tls),), daemon=True).start()
    else:
        await ServerRuntime(server, limits, reader_for(levers)).start(listener, tls)


async def start_client(
    stage: Stage,
    levers: Levers,
    host: Host,
    server: Address,
    person: Person,
    show: Callable[[Show], None],
    log_secrets: Callable[[ssl.SSLContext], None] | None = None,
) -> Client:
    """A client of this stage on this host, connected; the person's UDP port is theirs, or, where it is 0, one that is
    free.

    log_secrets: gets what the client speaks TLS with, so that the bench can open its own capture later.
    """

    def session(udp_port: int) -> ClientSession:
        return stage.client(levers, replace(person, udp_port=udp_port))

    tls = stage.client_tls(levers, person)
    if tls and log_secrets:
        log_secrets(tls)
    program = stage.client_program(levers)
    limits = limits_for(levers, Limits())
    return await program.start(
        host, server, session, show, reader_for(levers), tls, udp_port=person.udp_port, limits=limits
    )
