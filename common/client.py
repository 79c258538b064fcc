"""The client's event loop: moves bytes between its sockets and its session, and carries out what the session answers.

A connection that ends is made again, each time after a longer wait, and the person is told. Whispers come over UDP,
from whomever; a queue that is full loses what comes, so each of the first members has one of their own.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, cast

from common import commands
from common.errors import LabError
from common.hosts import DOMAIN, Host
from common.limits import DATAGRAM_BYTES, Limits
from common.messages import Message, Refused
from common.session import (
    Address,
    ClientEffect,
    ClientSession,
    Close,
    Datagram,
    Later,
    Send,
    Show,
    alarm,
    notice,
)
from common.whispers import Whispers
from common.wire import LineReader, Reader, WireError, decoder, encode, encode_datagram

DEFAULT_LIMITS: Final = Limits()
TLS_NAME: Final = f"server.{DOMAIN}"
"""The name that a server's certificate must have, whatever address was dialled."""
TLS_SECONDS: Final = 5.0
"""How long a client waits for the server's part of a TLS handshake."""
AGAIN_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""How long a client whose connection ended waits before it connects again, each time longer; then it gives up. Each
wait is half as long to half as long again, by chance: a roomful must not come back to a new server in one instant."""
TOLD_SECONDS: Final = 2.0
"""A wait so long is told."""
PASSING: Final = ("full", "busy", "name-in-use")
"""Refusals that may be another answer soon, for whoever was in already: a crowd comes back at once, and a server that
was cut off from us still holds our place."""
STEADY_SECONDS: Final = 10.0
"""A connection that stood so long was a good one: when it ends, the waits begin anew."""
ALARMS_APART: Final = 16
"""How many different alarms about datagrams are counted each on its own."""


class NotTheServer(LabError):
    """Whoever answered did not prove that it is the server."""


def not_the_server(error: OSError) -> LabError:
    """What a person is told when TLS refuses, or when whoever answered does not speak it."""
    why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error) or "it hung up"
    why = why.removesuffix(".")  # OpenSSL ends some sentences, and not others
    kind = LabError if isinstance(error, ConnectionError) else NotTheServer  # an end proves nothing about anybody
    return kind(f"This is not the server, or somebody is in between: {why}. Nothing was sent.")


class Client(asyncio.Protocol):
    """One member's client: a session, its TCP connection and its UDP socket."""

    transport: asyncio.Transport

    def __init__(
        self,
        session: ClientSession,
        show: Callable[[Show], None],
        reader: Callable[[], Reader],
        dial: Callable[[], Awaitable[socket.socket]],
        tls: ssl.SSLContext | None = None,
        queue: Callable[[Address], socket.socket | None] = lambda peer: None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.session = session
        self.show = show
        self.ended = asyncio.Event()
        self._closing = False
        self._new_reader = reader
        self.dial = dial
        self.tls = tls
        self._let_in = False
        self._waits = iter(AGAIN_SECONDS)
        self._connecting: asyncio.Task[None] | None = None
        self._decoder = decoder(session.accepts)
        self._whispers = Whispers(self, queue, limits)
        self._alarms: dict[str, int] = {}

    @classmethod
    async def start(
        cls,
        host: Host,
        server: Address,
        make_session: Callable[[int], ClientSession],
        show: Callable[[Show], None],
        reader: Callable[[], Reader] = LineReader,
        tls: ssl.SSLContext | None = None,
        udp_port: int = 0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> "Client":
        """Bind a UDP port for whispers, look the server up, connect, in TLS where a context is given.

        udp_port: 0 for one that is free.
        Raises LabError where that fails: a server that cannot prove who it is is one that cannot be reached.
        """

        async def dial() -> socket.socket:
            return await host.connect(await host.resolve(server[0]), server[1])

        udp = await host.bind_udp(udp_port)
        try:
            sock = await dial()
        except BaseException:
            udp.close()
            raise
        session, queue = make_session(udp.getsockname()[1]), partial(host.udp_queue, udp)
        client = cls(session, show, reader, dial, tls, queue, limits)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: client._whispers, sock=udp)
        try:
            await client.connect(sock)
        except LabError:
            client._whispers.close()
            raise
        return client

    async def connect(self, sock: socket.socket) -> None:
        """Begin a connection on a socket that is connected. Raises LabError where TLS refuses."""
        self._reader = self._new_reader()
        name, patience = (TLS_NAME, TLS_SECONDS) if self.tls else (None, None)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self, sock=sock, ssl=self.tls, server_hostname=name, ssl_handshake_timeout=patience
            )
        except OSError as error:  # ssl.SSLError is one
            raise not_the_server(error) from None

    def typed(self, line: str) -> None:
        """The person typed a line."""
        if self._closing or self.ended.is_set():
            return
        try:
            effects = commands.typed(self.session, line)
        except LabError as error:
            effects = _cannot_go_on(error)
        sends = any(isinstance(effect, Send) for effect in effects)
        if self.transport.is_closing() and (sends or (line.strip() and not effects)):
            effects = [notice("There is no connection to the server right now; that was not sent.")]
        elif line.strip() and not effects:
            effects = [notice("Nobody else is here yet; that was not sent.")]
        self.perform(effects)

    def perform(self, effects: Sequence[ClientEffect]) -> None:
        """Carry out what the session answered."""
        lines = [self.encoded(effect.message) for effect in effects if isinstance(effect, Send)]
        if lines and not self.transport.is_closing():
            self.transport.write(b"".join(lines))
        for effect in effects:
            match effect:
                case Show():
                    self.show(effect)
                case Datagram(message=message, to=address):
                    self._whispers.send(encode_datagram(message), address)
                case Later(seconds=seconds, then=then):
                    asyncio.get_running_loop().call_later(seconds, self._after, then)
                case Close():
                    self.close()

    def encoded(self, message: Message) -> bytes:
        """A message as it goes over the connection."""
        return encode(message)

    def decoded(self, line: bytes) -> Message:
        """A message as it came. Raises WireError for what the session does not accept."""
        message: Message = self._decoder.decode(line)
        return message

    def _after(self, then: Callable[[], list[ClientEffect]]) -> None:
        if not self._closing and not self.ended.is_set():
            self.perform(then())

    def close(self) -> None:
        """Leave: end our direction, so that all we said still arrives, and wait a little for the server's end."""
        if self._closing:
            return
        self._closing = True
        if self._connecting and not self._connecting.done():
            self._connecting.cancel()
            self._end()
        elif self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(DEFAULT_LIMITS.linger_seconds, self.transport.abort)
        else:
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._since = asyncio.get_running_loop().time()
        self.perform(self.session.connected())

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            for line in self._reader.feed(data):
                if self._closing:
                    return
                message = self.decoded(line)
                if self._let_in and isinstance(message, Refused) and message.code in PASSING:
                    self.show(notice(f"The server refused for now: {message.reason}"))
                    self.transport.abort()
                    return
                self._let_in = self._let_in or not isinstance(message, Refused)
                self._whispers.who_is_there(message)
                self.perform(self.session.received(message))
        except WireError as error:
            self.show(alarm(f"The server sent something that is no message, so this client left. {error.reason}"))
            self.close()
        except LabError as error:
            self.perform(_cannot_go_on(error))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closing:
            self._end()
            return
        self.show(notice("The connection ended; connecting again."))
        self._whispers.nobody_is_there()
        self.session.disconnected()
        if asyncio.get_running_loop().time() - self._since >= STEADY_SECONDS:
            self._waits = iter(AGAIN_SECONDS)
        self._connecting = asyncio.create_task(self._connect_again())

    async def _connect_again(self) -> None:
        """Try until the server answers, or the waits are used up."""
        for longest in self._waits:
            seconds = longest * random.uniform(0.5, 1.5)
            if seconds >= TOLD_SECONDS:
                self.show(notice(f"No connection yet; the next try is in {seconds:.0f} s, and /quit leaves."))
            await asyncio.sleep(seconds)
            try:
                await self.connect(await self.dial())
            except LabError as error:
                if isinstance(error, NotTheServer):
                    self.show(alarm(str(error)))
                continue
            return
        self.show(alarm("The server cannot be reached any more; start the client again to come back."))
        self._end()

    def _end(self) -> None:
        """It is over: give the UDP port back."""
        self._closing = True
        self._whispers.close()
        self.ended.set()

    def heard(self, data: bytes, source: Address) -> None:
        """A datagram arrived, from whomever."""
        try:
            if len(data) > DATAGRAM_BYTES:
                raise WireError("too-long", f"A whisper is at most {DATAGRAM_BYTES} bytes.")
            effects = self.session.datagram(decoder(self.session.whispers).decode(data), source)
        except WireError as error:
            effects = [alarm(f"A datagram from {source[0]} was no whisper and was dropped. {error.reason}")]
        except LabError as error:
            effects = _cannot_go_on(error)
        self.perform([effect for effect in effects if self._worth_showing(effect)])

    def _worth_showing(self, effect: ClientEffect) -> bool:
        """An alarm that datagrams raise again and again is shown the 1st, 2nd, 4th, 8th … time.

        Anyone can send datagrams, so anyone could otherwise fill the screen; and whoever makes every alarm a
        little different soon has them counted as one.
        """
        if not isinstance(effect, Show) or effect.kind != "alarm":
            return True
        known = effect.text in self._alarms or len(self._alarms) < ALARMS_APART
        text = effect.text if known else "any other"
        count = self._alarms[text] = self._alarms.get(text, 0) + 1
        return count & (count - 1) == 0


def _cannot_go_on(error: LabError) -> list[ClientEffect]:
    """What a session cannot write down, it must not show: the client ends, and says why."""
    return [alarm(str(error)), Close()]
