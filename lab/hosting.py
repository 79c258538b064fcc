"""Running a stage's server and clients on hosts of the lab, as the levers ask for."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from common import threads
from common.command_line import reader_for
from common.hosts import DOMAIN, Host
from common.levers import Levers
from common.runtime import Client, ServerRuntime
from common.session import Address, Show
from stages import Stage


@contextlib.asynccontextmanager
async def running_server(stage: Stage, levers: Levers, host: Host) -> AsyncIterator[Address]:
    """The stage's server on this host; gives the name and port by which clients find it."""
    listener = await host.listen(stage.port)
    address = (f"{host.name}.{DOMAIN}", listener.getsockname()[1])
    if levers["runtime"] == "threads":
        listener.setblocking(True)
        serving = asyncio.create_task(
            asyncio.to_thread(threads.ThreadServer(stage.server(), reader_for(levers)).serve, listener)
        )
        try:
            yield address
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await serving
            listener.close()
        return
    runtime = ServerRuntime(stage.server(), reader=reader_for(levers))
    await runtime.start(listener)
    try:
        yield address
    finally:
        await runtime.stop()


async def join_member(
    stage: Stage, levers: Levers, host: Host, name: str, server: Address, show: Callable[[Show], None]
) -> Client:
    """A member's client on this host, connected."""
    return await Client.start(host, server, lambda udp_port: stage.client(name, udp_port), show, reader_for(levers))
