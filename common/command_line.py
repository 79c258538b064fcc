"""`python -m stages.stage1_plaintext.server` and `.client`: a stage by hand, on this machine or between two.

The bench is not involved: no referee, no capture, no attack; real sockets of the real machine.
"""

import argparse
import asyncio
import contextlib
import fcntl
import getpass
import importlib
import io
import ipaddress
import os
import re
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import terminal
from common.client import TLS_NAME, Client, not_the_server
from common.errors import LabError
from common.files import sweep, user_data
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import PASSPHRASE_CHARACTERS, Limits
from common.session import ClientSession, Person, Show
from common.text import NAME_PATTERN, NAME_RULE
from common.what_if import display_raw, limits_off
from common.what_if.framing_none import WhateverArrives
from common.wire import LineReader, Reader

if TYPE_CHECKING:  # a client needs nothing of the server's, and its person waits for the prompt
    from common.console import Operated
    from common.runtime import ServerRuntime
    from common.threads import ThreadServer


def reader_for(levers: Levers) -> Callable[[], Reader]:
    """The reader that the lever `framing` asks for; lines where there is no such lever."""
    if levers.get("framing") == "none":
        return WhateverArrives
    return partial(LineReader, limits_for(levers, Limits()).line_bytes)


def blocking(listener: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    """A listener on which a thread can wait, for `runtime=threads`; in TLS each client's thread does its handshake."""
    listener.setblocking(True)
    return tls.wrap_socket(listener, server_side=True, do_handshake_on_connect=False) if tls else listener


def limits_for(levers: Levers, limits: Limits) -> Limits:
    """These limits, or none of them, as the lever `limits` asks for; as they are where there is no such lever."""
    return limits_off.without(limits) if levers.get("limits") == "off" else limits


def rows_for(levers: Levers) -> terminal.Rows:
    """The way onto a screen that the lever `display` asks for; sanitised where there is no such lever."""
    ways: dict[str, terminal.Rows] = {"sanitised": terminal.rows, "raw": display_raw.rows}
    return ways[levers.get("display", "sanitised")]


def server_address(text: str, port: int) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT` or `:PORT`. Raises LabError."""
    host, _, number = text.partition(":")
    if number and not (re.fullmatch(r"[0-9]{1,5}", number) and 0 < int(number) < 65536):
        raise LabError(f"SERVER= is HOST or HOST:PORT with a port from 1 to 65535; {text} is not.")
    return host or "127.0.0.1", int(number or port)


def port_number(text: str) -> int:
    """A port that can be listened on. Raises ValueError, as argparse wants it."""
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ValueError
    return int(text)


def serve(package: str | None, arguments: Sequence[str] | None = None) -> None:
    """Run a stage's server until Ctrl-C. `package` is the stage's, as in `__package__`."""
    stage = importlib.import_module(str(package))
    parser = argparse.ArgumentParser(description="Run this stage's server.", allow_abbrev=False)
    parser.add_argument("--listen", default="127.0.0.1", help="address to listen on (0.0.0.0: all)")
    parser.add_argument("--port", type=port_number, default=stage.PORT, help="TCP port; 0: any that is free")
    parser.add_argument("--max", type=int, default=Limits().connections, help="connections at once")
    parser.add_argument("--levers", default="", help="as in framing=none")
    parser.add_argument("--folder", type=Path, help="where it keeps what must outlive it")
    options = parser.parse_args(arguments)
    tls = hasattr(importlib.import_module(f"{package}.compose"), "server_tls")
    _run(lambda: run_server(_serve(package, options, stage.WARNING), tls=tls))


def chat(package: str | None, arguments: Sequence[str] | None = None) -> None:
    """Run a stage's client until its person leaves. `package` is the stage's, as in `__package__`."""
    stage, compose = importlib.import_module(str(package)), importlib.import_module(f"{package}.compose")
    parser = argparse.ArgumentParser(description="Run this stage's client.", allow_abbrev=False)
    parser.add_argument("--name", required=True, help=NAME_RULE)
    parser.add_argument("--server", default=f"127.0.0.1:{stage.PORT}", help="HOST or HOST:PORT")
    parser.add_argument("--levers", default="", help="as in framing=none")
    parser.add_argument("--folder", type=Path, help="where it keeps what must outlive it")
    if compose.WANTS_PASSWORD:
        parser.add_argument("--register", action="store_true", help="make an account")
        parser.add_argument("--password-file", type=Path, metavar="FILE", help="read the password from its first line")
        parser.add_argument("--password-fd", type=int, metavar="N", help="read the password from this file descriptor")
    if hasattr(compose, "wants_passphrase"):
        parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="the room's, from its first line")
        parser.add_argument("--passphrase-fd", type=int, metavar="N", help="the room's, from this file descriptor")
    if hasattr(compose, "client_tls"):
        parser.add_argument("--ca", type=Path, metavar="FILE", help="the certificate of the authority to trust")
    options = parser.parse_args(arguments)
    if not re.match(NAME_PATTERN, options.name):
        parser.error(f"a name is {NAME_RULE}")
    _run(lambda: _chat(package, options, stage))


def password_of(options: argparse.Namespace) -> tuple[str, bool]:
    """The password and whether to make an account. Raises LabError."""
    password, register = _asked(options)
    if not password:
        raise LabError("An empty password is none; nothing was sent.")
    return password, register


def _asked(options: argparse.Namespace) -> tuple[str, bool]:
    """From a file, a file descriptor or the prompt, never an argument, which everyone on the machine could see."""
    register = bool(options.register)
    try:
        given = _given(options.password_file, options.password_fd)
        if given is not None:
            return given, register
        if not sys.stdin.isatty():
            how = "give one with --password-file or --password-fd."
            raise LabError(f"There is no terminal to ask for a password; {how}")
        if not register:
            register = input(f"Does {options.name} have an account here? [Y/n] ").strip().lower().startswith("n")
        password = getpass.getpass("Choose a password: " if register else "Password: ")
        if register and getpass.getpass("The same again: ") != password:
            raise LabError("The two passwords differ; nothing was sent.")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise LabError(f"The password cannot be read ({str(error) or 'it ended'}).") from None
    return password, register


def passphrase_of(options: argparse.Namespace) -> str:
    """The room's passphrase, in the same ways as a password. Raises LabError."""
    try:
        passphrase = _given(options.passphrase_file, options.passphrase_fd)
        if passphrase is None:
            if not sys.stdin.isatty():
                how = "give one with --passphrase-file or --passphrase-fd."
                raise LabError(f"There is no terminal to ask for the room's passphrase; {how}")
            passphrase = getpass.getpass("The room's passphrase: ")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise LabError(f"The passphrase cannot be read ({str(error) or 'it ended'}).") from None
    if not 0 < len(passphrase) <= PASSPHRASE_CHARACTERS:
        most = f"A passphrase has 1 to {PASSPHRASE_CHARACTERS} characters"
        raise LabError(f"{most}, and this one has {len(passphrase)}; nothing was sent.")
    return passphrase


def _given(file: Path | None, descriptor: int | None) -> str | None:
    """The first line of a file, or what comes next from a file descriptor; None where neither is named."""
    if file:
        return file.read_text(encoding="utf-8").split("\n", 1)[0]
    if descriptor is None:
        return None
    with open(descriptor, "rb", buffering=0, closefd=False) as opened:  # unbuffered: it may be stdin,
        return opened.readline().decode().rstrip("\r\n")  # and what follows is for the room


def data_folder(options: argparse.Namespace, package: str | None, name: str) -> Path:
    """Where a program run by hand keeps its files: 0700, and untouched by `make clean`."""
    folder: Path = options.folder or user_data() / str(package).rpartition(".")[2] / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LabError(f"{folder} cannot be made ({error.strerror}); choose another with --folder.") from None
    return folder


def hold(folder: Path) -> None:
    """Keep a folder to this program until it ends: of two, each would forget what the other had accepted. Raises
    LabError."""
    try:  # the file stays open: the kernel closes it when we end, however we end, and that frees it
        fcntl.flock(os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600), fcntl.LOCK_EX | fcntl.LOCK_NB)
        sweep(folder)
    except OSError as error:
        why = "a client that runs already uses it" if isinstance(error, BlockingIOError) else error.strerror
        raise LabError(f"{folder} cannot be used ({why}); end that client, or choose another folder.") from None


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


def run_server(work: Coroutine[Any, Any, None], *, tls: bool) -> None:
    """In asyncio's own event loop, or, where there is TLS, in uvloop's: asyncio keeps a quarter of a MiB for each
    connection in TLS. (uvloop takes one newcomer a turn, so a crowd that comes at once is told of one by one.)"""
    if not tls:
        asyncio.run(work)
        return
    import uvloop

    from common import console

    sys.unraisablehook = console.complain
    while (free := os.open(os.devnull, os.O_RDWR)) < 3:  # started without stdin: libuv wants no socket in its place
        pass
    os.close(free)
    uvloop.run(work)


async def _serve(package: str | None, options: argparse.Namespace, warning: str) -> None:
    from common import console, threads
    from common.runtime import ServerRuntime

    compose = importlib.import_module(f"{package}.compose")
    levers = Levers.parse(options.levers, compose.LEVERS)
    folder = data_folder(options, package, "server")
    server: console.Operated = compose.server(levers, folder)
    tls: ssl.SSLContext | None = compose.server_tls(levers, folder) if hasattr(compose, "server_tls") else None
    host = ThisMachine(_numeric(options.listen))
    listener = await host.listen(options.port)
    if warning and not ipaddress.ip_address(host.address).is_loopback:
        print(f"! {warning}", file=sys.stderr, flush=True)
    if levers["runtime"] == "threads" and options.max != Limits().connections:
        print("! MAX= does not bind this runtime: it limits nothing.", file=sys.stderr, flush=True)
    print(f"Listening on {host.address} port {listener.getsockname()[1]}; Ctrl-C ends.", flush=True)
    if sys.stdin is not None and sys.stdin.isatty():
        print(console.HELP, flush=True)
    say_ready()
    if levers["runtime"] == "threads":
        listener, threaded = blocking(listener, tls), threads.ThreadServer(server, reader_for(levers))
        console.listen(lambda line: _operate_threads(threaded, server, line))
        with _closing(listener):
            await asyncio.to_thread(threaded.serve, listener)
        return
    limits = limits_for(levers, replace(Limits(), connections=options.max))
    runtime = ServerRuntime(server, limits, reader_for(levers))
    await runtime.start(listener, tls)
    loop = asyncio.get_running_loop()
    console.listen(lambda line: _in_turn(loop, runtime, server, line))
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await runtime.stop()


def say_ready() -> None:
    """Tell whoever started us, and waits for it, that clients can come: sd_notify(3), as systemd and `make lan` do."""
    if path := os.environ.get("NOTIFY_SOCKET", ""):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.setblocking(False)  # whoever has heard it once may read no more
            sock.sendto(b"READY=1", "\0" + path[1:] if path.startswith("@") else path)


def _in_turn(loop: asyncio.AbstractEventLoop, runtime: "ServerRuntime", server: "Operated", line: str) -> None:
    """The operator typed a line: the event loop takes it, between two messages."""
    from common import console

    def take() -> None:
        effects, answer = console.typed(server, line)
        runtime.perform(None, effects)
        print(answer, flush=True)

    loop.call_soon_threadsafe(take)


def _operate_threads(threaded: "ThreadServer", server: "Operated", line: str) -> None:
    """The operator typed a line: it waits for its turn, as every client does."""
    from common import console

    with threaded.lock:
        effects, answer = console.typed(server, line)
        threaded.perform(None, effects)
    print(answer, flush=True)


@contextlib.contextmanager
def _closing(listener: socket.socket) -> Any:
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)


def _chat(package: str | None, options: argparse.Namespace, stage: Any) -> None:
    """The person is asked for secrets before the event loop runs, which would keep Ctrl-C to itself."""
    compose = importlib.import_module(f"{package}.compose")
    levers = Levers.parse(options.levers, compose.LEVERS)
    by_words = hasattr(compose, "wants_passphrase") and compose.wants_passphrase(levers)
    given = [getattr(options, name, None) is not None for name in ("passphrase_file", "passphrase_fd")]
    if any(given) and not by_words:
        raise LabError("Only key_exchange=passphrase wants a passphrase; turn that lever, or leave the passphrase out.")
    name, number = server_address(options.server, stage.PORT)
    address = asyncio.run(ThisMachine().resolve(name))
    host = ThisMachine(_towards(address))
    if stage.WARNING and not ipaddress.ip_address(address).is_loopback:
        print(f"! {stage.WARNING}", file=sys.stderr, flush=True)
    password, register = password_of(options) if compose.WANTS_PASSWORD else ("", False)
    passphrase = passphrase_of(options) if by_words else ""
    folder = data_folder(options, package, f"{options.name}@{name}-{number}")  # as typed: no name server chooses it
    if getattr(compose, "ONE_CLIENT_A_FOLDER", False):
        hold(folder)

    person = Person(options.name, 0, password, register, folder, getattr(options, "ca", None), passphrase)
    tls: ssl.SSLContext | None = compose.client_tls(levers, person) if hasattr(compose, "client_tls") else None

    program: type[Client] = compose.client_program(levers) if hasattr(compose, "client_program") else Client

    def make_session(udp_port: int) -> ClientSession:
        session: ClientSession = compose.client(levers, replace(person, udp_port=udp_port))
        return session

    async def start(show: Callable[[Show], None]) -> tuple[Callable[[str], None], asyncio.Event]:
        limits = limits_for(levers, Limits())
        client = await program.start(
            host, (address, number), make_session, show, reader_for(levers), tls, limits=limits
        )
        return client.typed, client.ended

    if levers["runtime"] != "threads":
        asyncio.run(terminal.converse(options.name, start, rows_for(levers)))
    else:
        from common import threads

        udp = threads.datagram_socket(host.address)
        session = make_session(udp.getsockname()[1])
        try:
            connection = threads.connect(address, number)
        except OSError as error:
            udp.close()
            raise LabError(f"Cannot reach {address} port {number} ({error.strerror}); is the server there?") from None
        if tls:
            try:
                connection = tls.wrap_socket(connection, server_hostname=TLS_NAME)
            except OSError as error:  # ssl.SSLError is one
                raise not_the_server(error) from None

        def show_rows(show: Show) -> None:
            terminal.show_plain(show, rows_for(levers))

        threads.SelectClient(connection, udp, session, show_rows, reader_for(levers)).run(sys.stdin.fileno())


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
