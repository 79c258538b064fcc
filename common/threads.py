"""The runtime of every first tutorial (`runtime=threads`): a thread for each client, and a client that selects.

Read it to see the sockets themselves: socket, bind, listen, accept, connect, select, sendto. The sessions are
the same ones that the event loop drives. What is wrong with it is wrong on purpose: nothing is bounded or timed,
and a `sendall` to a member who has stopped reading blocks while holding the lock, which freezes the room for all.
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
        self.server = server
        self.reader = reader
        self.lock = threading.Lock()  # sessions share the room, so only one thread may be inside at a time
        self.sockets: dict[Any, socket.socket] = {}

    def serve(self, listener: socket.socket) -> None:
        """Accept until the listener is shut down."""
        with contextlib.suppress(OSError):  # `shutdown` makes `accept` fail: that is how serving ends
            while True:
                connection, address = listener.accept()
                threading.Thread(target=self.attend, args=(connection, address), daemon=True).start()
        with self.lock:
            for connection in self.sockets.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def attend(self, connection: socket.socket, address: Address) -> None:
        """One client, from connect to disconnect."""
        with self.lock:
            session = self.server.session(address[0])
            self.sockets[session] = connection
        reader = self.reader()
        going = True
        try:
            while going and (data := connection.recv(65536)):
                for line in reader.feed(data):
                    message = decoder(session.accepts).decode(line)
                    with self.lock:
                        going = self.perform(session.received(message))
                    if not going:
                        break
            if going:
                reader.end()
        except WireError as error:
            with contextlib.suppress(OSError):
                connection.sendall(encode(Refused(code=error.code, reason=error.reason)))
        except OSError:
            pass  # the client is gone
        with self.lock:
            self.perform(session.disconnected())
            del self.sockets[session]
        connection.close()

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

    def __init__(self, server: socket.socket, udp: socket.socket, session: ClientSession, show: Callable[[Show], None],
                 reader: Callable[[], Reader] = LineReader) -> None:  # fmt: skip
        self.server, self.udp, self.session, self.show, self.reader = server, udp, session, show, reader()

    def run(self, keyboard: int) -> None:
        """Talk until the person or the server leaves; `keyboard` is a file descriptor, 0 for standard input."""
        going = self.perform(self.session.connected())
        while going:
            ready, _, _ = select.select([keyboard, self.server, self.udp], [], [])
            if keyboard in ready:
                typed = os.read(keyboard, 65536).decode(errors="replace")
                going = bool(typed) and all([self.perform(commands.typed(self.session, line)) for line in typed.splitlines()])
            if self.udp in ready:
                going = self.hear(*self.udp.recvfrom(65536)) and going
            if self.server in ready:
                going = self.receive() and going
        self.server.close()
        self.udp.close()

    def receive(self) -> bool:
        """Something came from the server: messages, or its end."""
        try:
            data = self.server.recv(65536)
            if not data:
                self.show(alarm("The connection to the server ended; start the client again to come back."))
                return False
            lines = [decoder(self.session.accepts).decode(line) for line in self.reader.feed(data)]
            return all([self.perform(self.session.received(line)) for line in lines])
        except (WireError, OSError) as error:
            self.show(alarm(f"The connection to the server failed: {error}"))
            return False

    def hear(self, data: bytes, source: Address) -> bool:
        """A datagram came, from whomever."""
        try:
            return self.perform(self.session.datagram(decoder(self.session.whispers).decode(data), source))
        except WireError as error:
            self.show(alarm(f"A datagram from {source[0]} was no whisper and was dropped. {error}"))
            return True

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
