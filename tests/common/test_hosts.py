"""Hosts: the sockets they make."""

import asyncio
import socket

import pytest

from common.errors import LabError
from common.hosts import ThisMachine, only_lab_or_loopback


def test_sockets_of_this_machine_do_not_hold_short_messages_back() -> None:
    async def both_ends() -> list[int]:
        host = ThisMachine()
        listener = await host.listen(0)
        connection = await host.connect(*listener.getsockname())
        ready: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                ready.set_result(transport)  # type: ignore[arg-type]

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Accepted, sock=listener)
        client, _ = await loop.create_connection(asyncio.Protocol, sock=connection)
        accepted = await ready
        ends = [end.get_extra_info("socket") for end in (client, accepted)]
        delays = [end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for end in ends]
        for transport in (client, accepted):
            transport.abort()
        server.close()
        await server.wait_closed()
        return delays

    assert all(asyncio.run(both_ends()))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10"])
def test_loopback_addresses_may_be_attacked(address: str) -> None:
    assert only_lab_or_loopback(address) == address


@pytest.mark.parametrize("address", ["192.0.2.1", "0.0.0.0", "2001:db8::1", "example.invalid", "", "127.0.0.1 "])
def test_everything_else_may_not(address: str) -> None:
    with pytest.raises(LabError):
        only_lab_or_loopback(address)
