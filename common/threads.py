"""The runtime of every first tutorial (`runtime=threads`): a thread a client, and a client that selects.

Read it to see socket, bind, listen, accept, connect, select and sendto. Wrong on purpose: nothing is bounded or timed,
and a `sendall` to a member who has stopped reading blocks while holding the lock, which freezes the whole room.
"""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from common import commands
from common.messages import Refused
from common.session import Address, ClientEffect, ClientSession, Close, Datagram, Send, Server, Show, Work, alarm
from common.wire import LineReader, Reader, WireError, decoder, encode, encode_datagram


def listen(address: str, port: int) -> socket.socket:
    """A TCP socket that takes connections: `socket` makes it, `bind` names it, `listen` opens it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart need not wait a minute
    listener.bind((address, port))
    listener.listen()
    return listener


def connect(address: str, port: int) -> socket.socket:
    """A TCP connection to a server that listens."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.connect((address, port))
    return connection


def datagram_socket(address: str) -> socket.socket:
    """A UDP socket on a free port: no listen, no accept, no connection; each datagram stands alone."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 0))
    return udp


class ThreadServer:
    """Accepts connections and gives each its own thread."""

    def __init__(self, server: Server, reader: Callable[[], Reader] = LineReader) -> None:
        self.server, self.reader, self.lock = server, reader, threading.Lock()  # only one thread may be in the room
        self.sockets: dict[Any, socket.socket] = {}

    def serve(self, listener: socket.socket) -> None:
        """Accept until the listener is shut down, then cut every connection."""
        with contextlib.suppress(OSError):  # `shutdown` makes `accept` fail: that is how serving ends
            while True:
                connection, address = listener.accept()
                threading.Thread(target=self.attend, args=(connection, address), daemon=True).start()
        for connection in list(self.sockets.values()):  # without the lock: whoever froze the room holds it
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def attend(self, connection: socket.socket, address: Address) -> None:
        """One client, from connect to disconnect."""
        with self.lock:
            self.sockets[session := self.server.session(address[0])] = connection
        with connection, contextlib.suppress(OSError):  # the client is gone
            try:
                self.hear(session, connection)
            except WireError as error:
                connection.sendall(encode(Refused(code=error.code, reason=error.reason)))
        with self.lock:
            self.perform(session, session.disconnected())
            del self.sockets[session]

    def hear(self, session: Any, connection: socket.socket) -> None:
        """Everything that one client sends, until it or the session ends."""
        reader = self.reader()
        while data := connection.recv(65536):
            for line in reader.feed(data):
                with self.lock:
                    if not self.perform(session, session.received(decoder(session.accepts).decode(line))):
                        return
        reader.end()

    def perform(self, by: Any, effects: list[Any]) -> bool:
        """Carry out what a session answered; False when the connection is to be closed."""
        for effect in effects:
            match effect:
                case Send(message=message, to=sessions):
                    for session in sessions:
                        with contextlib.suppress(OSError):  # that one is gone; its own thread will notice
                            self.sockets[session].sendall(encode(message))
                case Close(session=other) if other and other is not by:
                    with contextlib.suppress(OSError):
                        self.sockets[other].shutdown(socket.SHUT_RDWR)
                case Work(slow=slow, then=then):
                    return self.perform(by, then(slow()))  # while holding the lock, so all the others wait
        return not any(isinstance(effect, Close) and effect.session in (None, by) for effect in effects)


class SelectClient:
    """A client that waits on three things at once: the keyboard, the server, and whispers."""

    def __init__(self, server: socket.socket, udp: socket.socket, session: ClientSession,
        show: Callable[[Show], None], reader: Callable[[], Reader] = LineReader) -> None:  # fmt: skip
        self.server, self.udp, self.session, self.show, self.reader = server, udp, session, show, reader()

    def run(self, keyboard: int) -> None:
        """Talk until the person or the server leaves; `keyboard` is a file descriptor, as 0 for stdin."""
        reads: dict[Any, Callable[[], bool]] = {self.server: self.receive, self.udp: self.hear}
        reads[keyboard] = lambda: self.typed(os.read(keyboard, 65536))
        with self.server, self.udp:
            try:
                going = self.perform(self.session.connected())
                while going:
                    ready, _, _ = select.select(list(reads), [], [])
                    going = all(reads[source]() for source in ready)
            except (WireError, OSError) as error:
                self.show(alarm(f"The connection to the server is gone: {error}"))

    def typed(self, data: bytes) -> bool:
        """The person typed something; no bytes at all are the end of it."""
        lines = data.decode(errors="surrogateescape").splitlines() if data else ["/quit"]
        return all(self.perform(commands.typed(self.session, line)) for line in lines)

    def receive(self) -> bool:
        """Something came from the server: messages, or its end."""
        if not (data := self.server.recv(65536)):
            raise ConnectionError("it ended; start the client again to come back.")
        decode = decoder(self.session.accepts).decode
        return all(self.perform(self.session.received(decode(line))) for line in self.reader.feed(data))

    def hear(self) -> bool:
        """A datagram came, from whomever."""
        data, source = self.udp.recvfrom(65536)
        try:
            return self.perform(self.session.datagram(decoder(self.session.whispers).decode(data), source))
        except WireError as error:
            return self.perform([alarm(f"A datagram from {source[0]} was no whisper: {error}")])

    def perform(self, effects: list[ClientEffect]) -> bool:
        """Carry out what the session answered; False when it is over."""
        for effect in effects:
            match effect:
                case Send(message=message):
                    self.server.sendall(encode(message))
                case Datagram(message=message, to=address):
                    self.udp.sendto(encode_datagram(message), address)
                case Show():
                    self.show(effect)
        return not any(isinstance(effect, Close) for effect in effects)
