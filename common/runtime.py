"""The event-loop runtime: moves bytes between sockets and sessions, and carries out what sessions answer.

Fast by one habit: a message for a room is encoded once, messages in a row for the same members are joined once and put
into each one's outbox, and every outbox is written once per turn of the event loop, whatever is in it. Safe by another:
what waits for a member who does not read is bounded, and nobody else ever waits for them.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from common import commands
from common.hosts import Host
from common.limits import DATAGRAM_BYTES, Limits
from common.messages import Message, Refused
from common.session import (
    Address,
    ClientEffect,
    ClientSession,
    Close,
    Datagram,
    Send,
    Server,
    ServerEffect,
    ServerSession,
    Show,
    alarm,
    notice,
)
from common.wire import LineReader, Reader, WireError, decoder, encode, encode_datagram

DEFAULT_LIMITS: Final = Limits()
ALARMS_APART: Final = 16
"""How many different alarms about datagrams are counted each on its own."""


class ServerRuntime:
    """One server: its listener and its connections."""

    def __init__(
        self,
        server: Server,
        limits: Limits = DEFAULT_LIMITS,
        reader: Callable[[], Reader] = LineReader,
    ) -> None:
        self.server = server
        self.limits = limits
        self.reader = reader
        self.connections: dict[Any, _Connection] = {}
        """Those whose session has not ended."""
        self.open: set[_Connection] = set()
        """Those whose socket is open: the former, and the refused that may still read why."""
        self.stopped = False
        self._lines: list[bytes] = []
        """What goes to `_recipients`, and is not in their outboxes yet."""
        self._recipients: Sequence[ServerSession] = ()
        self._unwritten: list[_Connection] = []
        self._turn_ends: asyncio.Handle | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve whoever connects, until `stop`."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), sock=listener, backlog=512)

    async def stop(self) -> None:
        """Close the listener and every connection."""
        self.stopped = True  # a connection that is just being accepted is cut as soon as it is made
        if self._listener:
            self._listener.close()
        remaining = list(self.open)
        for connection in remaining:
            connection.transport.abort()
        await asyncio.gather(*(connection.lost for connection in remaining))

    def perform(self, by: "_Connection", effects: Iterable[ServerEffect]) -> None:
        """Carry out what a session answered."""
        for effect in effects:
            if isinstance(effect, Send):
                self.send(effect.message, effect.to)
            else:
                by.finish()

    def send(self, message: Message, recipients: Sequence[ServerSession]) -> None:
        """Send a message to each of these, at the end of the turn."""
        if recipients is not self._recipients:
            self.hand_out()
            self._recipients = recipients
        self._lines.append(encode(message))
        if not self._turn_ends:
            self._turn_ends = asyncio.get_running_loop().call_soon(self._end_turn)

    def hand_out(self) -> None:
        """Put what was gathered for some members into the outbox of each."""
        data, recipients = b"".join(self._lines), self._recipients
        self._lines, self._recipients = [], ()
        for session in recipients:
            connection = self.connections[session]
            connection.outbox.append(data)
            self._unwritten.append(connection)

    def _end_turn(self) -> None:
        self.hand_out()
        unwritten, self._unwritten, self._turn_ends = self._unwritten, [], None
        for connection in unwritten:
            connection.write()


class _Connection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport
    session: ServerSession

    def __init__(self, runtime: ServerRuntime) -> None:
        self.runtime = runtime
        self.outbox: list[bytes] = []
        self.reader = runtime.reader()
        self.allowance = runtime.limits.burst_bytes
        self.spent_at = asyncio.get_running_loop().time()
        self.gone = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.runtime.stopped:
            self.gone = True
            self.transport.abort()
            return
        self.session = self.runtime.server.session(transport.get_extra_info("peername")[0])
        self.decoder = decoder(self.session.accepts)
        self.runtime.connections[self.session] = self
        self.runtime.open.add(self)
        limits = self.runtime.limits
        if len(self.runtime.open) > limits.connections:
            self.refuse("full", f"This server takes {limits.connections} connections, and has them; try later.")
            return
        self.timer = asyncio.get_running_loop().call_later(limits.join_seconds, self.time_to_join_is_over)

    def data_received(self, data: bytes) -> None:
        if self.gone:
            return
        self.spend(len(data))
        try:
            for line in self.reader.feed(data):
                self.runtime.perform(self, self.session.received(self.decoder.decode(line)))
                if self.gone:
                    return
        except WireError as error:
            self.refuse(error.code, error.reason)

    def spend(self, size: int) -> None:
        """Read no more from a client that sends too fast, until its allowance (a token bucket) has grown again."""
        loop, limits = asyncio.get_running_loop(), self.runtime.limits
        earned = (loop.time() - self.spent_at) * limits.bytes_per_second
        self.allowance = min(self.allowance + earned, limits.burst_bytes) - size
        self.spent_at = loop.time()
        if self.allowance < 0:
            self.transport.pause_reading()
            loop.call_later(-self.allowance / limits.bytes_per_second, self.transport.resume_reading)

    def eof_received(self) -> bool:
        if not self.gone:
            try:
                self.reader.end()
            except WireError as error:
                self.refuse(error.code, error.reason)
            else:
                self.leave()
        self.transport.close()  # what is queued is still written; the timer set by `leave` ends it at last
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        if self.timer:
            self.timer.cancel()
        self.runtime.open.discard(self)
        self.lost.set_result(None)

    def time_to_join_is_over(self) -> None:
        """Silence holds a place that somebody else could use."""
        if not self.session.inside:
            seconds = self.runtime.limits.join_seconds
            self.refuse("silent", f"Nobody joined here within {seconds:g} s; connect again and join at once.")

    def write(self) -> None:
        """Write the outbox, all in one; drop a member for whom too much is waiting already."""
        if self.outbox and not self.transport.is_closing():
            data = b"".join(self.outbox)
            self.outbox.clear()
            self.transport.write(data)
            if not self.gone and self.transport.get_write_buffer_size() > self.runtime.limits.backlog_bytes:
                self.refuse("too-slow", "You did not read what was sent to you, and it became too much.")

    def refuse(self, code: str, reason: str) -> None:
        """Say why, and close."""
        if not self.gone:
            self.runtime.send(Refused(code=code, reason=reason), [self.session])
            self.finish()

    def finish(self) -> None:
        """Close after what was sent.

        Only our direction is closed at first. To close both while the peer is still sending would make the kernel
        answer with a reset, and a reset throws away the `refused` that the peer has not read yet.
        """
        self.leave()
        self.write()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        else:
            self.transport.close()

    def leave(self) -> None:
        """The session ends, once; what is left of the connection ends soon."""
        if self.gone:
            return
        self.gone = True
        self.runtime.hand_out()
        self.runtime.perform(self, self.session.disconnected())
        del self.runtime.connections[self.session]
        if self.timer:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(self.runtime.limits.linger_seconds, self.transport.abort)


class Client(asyncio.Protocol):
    """One member's client: a session, its TCP connection and its UDP socket."""

    transport: asyncio.Transport

    def __init__(
        self,
        session: ClientSession,
        show: Callable[[Show], None],
        reader: Callable[[], Reader] = LineReader,
    ) -> None:
        self.session = session
        self.show = show
        self.ended = asyncio.Event()
        self._closing = False
        self._reader = reader()
        self._decoder = decoder(session.accepts)
        self._whispers = _Whispers(self)
        self._alarms: dict[str, int] = {}

    @classmethod
    async def start(
        cls,
        host: Host,
        server: Address,
        make_session: Callable[[int], ClientSession],
        show: Callable[[Show], None],
        reader: Callable[[], Reader] = LineReader,
    ) -> "Client":
        """Bind a UDP port for whispers, look the server up, connect. Raises LabError where that fails."""
        loop = asyncio.get_running_loop()
        udp = await host.bind_udp()
        try:
            sock = await host.connect(await host.resolve(server[0]), server[1])
        except BaseException:
            udp.close()
            raise
        client = cls(make_session(udp.getsockname()[1]), show, reader)
        await loop.create_datagram_endpoint(lambda: client._whispers, sock=udp)
        await loop.create_connection(lambda: client, sock=sock)
        return client

    def typed(self, line: str) -> None:
        """The person typed a line."""
        if not self._closing and not self.ended.is_set():
            self.perform(commands.typed(self.session, line))

    def perform(self, effects: Sequence[ClientEffect]) -> None:
        """Carry out what the session answered."""
        lines = [encode(effect.message) for effect in effects if isinstance(effect, Send)]
        if lines and not self.transport.is_closing():
            self.transport.write(b"".join(lines))
        for effect in effects:
            match effect:
                case Show():
                    self.show(effect)
                case Datagram(message=message, to=address):
                    self._whispers.send(encode_datagram(message), address)
                case Close():
                    self.close()

    def close(self) -> None:
        """Leave: end our direction, so that all we said still arrives, and wait a little for the server's end."""
        if self._closing:
            return
        self._closing = True
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(DEFAULT_LIMITS.linger_seconds, self.transport.abort)
        else:
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.perform(self.session.connected())

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            for line in self._reader.feed(data):
                if self._closing:
                    return
                self.perform(self.session.received(self._decoder.decode(line)))
        except WireError as error:
            self.show(alarm(f"The server sent something that is no message, so this client left. {error.reason}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self.show(alarm("The connection to the server ended; start the client again to come back."))
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


class _Whispers(asyncio.DatagramProtocol):
    """The client's UDP socket."""

    transport: asyncio.DatagramTransport

    def __init__(self, client: Client) -> None:
        self.client = client

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.client.heard(data, addr)

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram, unless it is too long to arrive in one piece."""
        if len(data) > DATAGRAM_BYTES:
            self.client.show(notice(f"A whisper is at most {DATAGRAM_BYTES} bytes in all; yours was not sent."))
        else:
            self.transport.sendto(data, address)

    def close(self) -> None:
        """Give the port back."""
        self.transport.close()
