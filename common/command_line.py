"""`python -m stages.stage1_plaintext.server` and `.client`: a stage by hand, on this machine or between two.

The bench is not involved: no referee, no capture, no attack; real sockets of the real machine.
"""

import argparse
import asyncio
import contextlib
import io
import ipaddress
import re
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from common import terminal, threads
from common.errors import LabError
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from common.runtime import Client, ServerRuntime
from common.session import ClientSession, Server, Show
from common.text import NAME_PATTERN, NAME_RULE
from common.what_if.framing_none import WhateverArrives
from common.wire import LineReader, Reader


def reader_for(levers: Levers) -> Callable[[], Reader]:
    """The reader that the lever `framing` asks for."""
    readers: dict[str, Callable[[], Reader]] = {"lines": LineReader, "none": WhateverArrives}
    return readers[levers["framing"]]


def server_address(text: str, port: int) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT` or `:PORT`. Raises LabError."""
    host, _, number = text.partition(":")
    if number and not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise LabError(f"SERVER= is HOST or HOST:PORT with a port from 1 to 65535; {text} is not.")
    return host or "127.0.0.1", int(number or port)


def port_number(text: str) -> int:
    """A port that can be listened on. Raises ValueError, as argparse wants it."""
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ValueError
    return int(text)


def serve(make_server: Callable[[], Server], port: int, warning: str, arguments: Sequence[str] | None = None) -> None:
    """Run a stage's server until Ctrl-C; `warning` is said when the address is not loopback."""
    parser = argparse.ArgumentParser(description="Run this stage's server.", allow_abbrev=False)
    parser.add_argument("--listen", default="127.0.0.1", help="address to listen on (0.0.0.0: all)")
    parser.add_argument("--port", type=port_number, default=port, help="TCP port; 0: any that is free")
    parser.add_argument("--max", type=int, default=Limits().connections, help="connections at once")
    parser.add_argument("--levers", default="", help="as in framing=none")
    options = parser.parse_args(arguments)
    _run(lambda: asyncio.run(_serve(make_server(), options, warning)))


def chat(
    make_session: Callable[[str, int], ClientSession], port: int, warning: str, arguments: Sequence[str] | None = None
) -> None:
    """Run a stage's client until its person leaves."""
    parser = argparse.ArgumentParser(description="Run this stage's client.", allow_abbrev=False)
    parser.add_argument("--name", required=True, help=NAME_RULE)
    parser.add_argument("--server", default=f"127.0.0.1:{port}", help="HOST or HOST:PORT")
    parser.add_argument("--levers", default="", help="as in framing=none")
    options = parser.parse_args(arguments)
    if not re.match(NAME_PATTERN, options.name):
        parser.error(f"a name is {NAME_RULE}")
    _run(lambda: _chat(make_session, options, port, warning))


def _run(work: Callable[[], None]) -> None:
    """Whatever a peer says can be printed, whatever the terminal's encoding; what a person can mend is one sentence."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        work()
    except LabError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        print()


async def _serve(server: Server, options: argparse.Namespace, warning: str) -> None:
    levers = Levers.parse(options.levers)
    host = ThisMachine(_numeric(options.listen))
    listener = await host.listen(options.port)
    if warning and not ipaddress.ip_address(host.address).is_loopback:
        print(f"! {warning}", file=sys.stderr, flush=True)
    if levers["runtime"] == "threads" and options.max != Limits().connections:
        print("! MAX= does not bind this runtime: it limits nothing.", file=sys.stderr, flush=True)
    print(f"Listening on {host.address} port {listener.getsockname()[1]}; Ctrl-C ends.", flush=True)
    if levers["runtime"] == "threads":
        listener.setblocking(True)
        with _closing(listener):
            await asyncio.to_thread(threads.ThreadServer(server, reader_for(levers)).serve, listener)
        return
    runtime = ServerRuntime(server, replace(Limits(), connections=options.max), reader_for(levers))
    await runtime.start(listener)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await runtime.stop()


@contextlib.contextmanager
def _closing(listener: socket.socket) -> Any:
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)


def _chat(
    make_session: Callable[[str, int], ClientSession], options: argparse.Namespace, port: int, warning: str
) -> None:
    levers = Levers.parse(options.levers)
    name, number = server_address(options.server, port)
    address = asyncio.run(ThisMachine().resolve(name))
    host = ThisMachine(_towards(address))
    if warning and not ipaddress.ip_address(address).is_loopback:
        print(f"! {warning}", file=sys.stderr, flush=True)

    async def start(show: Callable[[Show], None]) -> tuple[Callable[[str], None], asyncio.Event]:
        client = await Client.start(
            host, (address, number), lambda udp_port: make_session(options.name, udp_port), show, reader_for(levers)
        )
        return client.typed, client.ended

    if levers["runtime"] == "threads":
        udp = threads.datagram_socket(host.address)
        session = make_session(options.name, udp.getsockname()[1])
        try:
            connection = threads.connect(address, number)
        except OSError as error:
            udp.close()
            raise LabError(f"Cannot reach {address} port {number} ({error.strerror}); is the server there?") from None
        threads.SelectClient(connection, udp, session, terminal.show_plain, reader_for(levers)).run(sys.stdin.fileno())
    else:
        asyncio.run(terminal.converse(options.name, start))


def _numeric(address: str) -> str:
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        raise LabError(f"LISTEN= is an IPv4 address such as 127.0.0.1 or 0.0.0.0; {address} is not.") from None


def _towards(address: str) -> str:
    """This machine's own address on the way to another: whispers must be sent to one that others can reach."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))  # UDP: no packet is sent
        except OSError as error:
            raise LabError(f"There is no way to {address} from here ({error.strerror}); check SERVER=.") from None
        return str(sock.getsockname()[0])
