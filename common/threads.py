"""The runtime of every first tutorial (`runtime=threads`): a thread a client, and a client that selects.

Read it to see the sockets themselves: socket, bind, listen, accept, connect, select, sendto. The sessions
are those that the event loop drives. What is wrong here is wrong on purpose: nothing is bounded or timed, and
a `sendall` to a member who has stopped reading blocks while holding the lock, which freezes the whole room.
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
from common.session import Address, ClientEffect, ClientSession, Close, Datagram, Send, Server, Show, alarm
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
        self.server, self.reader = server, reader
        self.lock = threading.Lock()  # sessions share the room, so only one thread may be inside at a time
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
            session = self.server.session(address[0])
            self.sockets[session] = connection
        with connection, contextlib.suppress(OSError):  # the client is gone
            try:
                self.hear(session, connection)
            except WireError as error:
                connection.sendall(encode(Refused(code=error.code, reason=error.reason)))
        with self.lock:
            self.perform(session.disconnected())
            del self.sockets[session]

    def hear(self, session: Any, connection: socket.socket) -> None:
        """Everything that one client sends, until it or the session ends."""
        reader = self.reader()
        while data := connection.recv(65536):
            for line in reader.feed(data):
                message = decoder(session.accepts).decode(line)
                with self.lock:
                    going = self.perform(session.received(message))
                if not going:
                    return
        reader.end()

    def perform(self, effects: list[Any]) -> bool:
        """Carry out what a session answered; False when the connection is to be closed."""
        for effect in effects:
            if isinstance(effect, Send):
                for session in effect.to:
                    with contextlib.suppress(OSError):  # that one is gone; its own thread will notice
                        self.sockets[session].sendall(encode(effect.message))
        return not any(isinstance(effect, Close) for effect in effects)


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
        lines = data.decode(errors="surrogateescape").splitlines()
        return bool(data) and all(self.perform(commands.typed(self.session, line)) for line in lines)

    def receive(self) -> bool:
        """Something came from the server: messages, or its end."""
        data = self.server.recv(65536)
        if not data:
            raise ConnectionError("it ended; start the client again to come back.")
        messages = (decoder(self.session.accepts).decode(line) for line in self.reader.feed(data))
        return all(self.perform(self.session.received(message)) for message in messages)

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
