"""The server's event loop: moves bytes between sockets and sessions, and carries out what sessions answer.

Fast by one habit: a message for a room is encoded once, what a turn of the event loop brought is joined once and put
into each one's outbox (`common.turn`), and every outbox is written once per turn, whatever is in it. Safe by another:
what waits for a member who does not read is bounded, and nobody else ever waits for them.
"""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from common.errors import LabError
from common.limits import Limits
from common.messages import Message, Refused
from common.places import Places
from common.room import Everyone, Others
from common.session import (
    Close,
    Send,
    Server,
    ServerEffect,
    ServerSession,
    Work,
)
from common.slow_work import SlowWork
from common.turn import Turn
from common.wire import LineReader, Reader, WireError, decoder, encode

DEFAULT_LIMITS: Final = Limits()
ACCEPT_AGAIN_SECONDS: Final = 0.1
"""How long a server that is out of descriptors waits before it takes the next connection."""
REFUSED_AT_ONCE: Final = 100
"""How many may still read why there is no place for them; whoever comes then is cut off without a word."""
LONG_BYTES: Final = 4096
LONG_KEPT: Final = 64
"""How many long messages are kept encoded, by their identity: the pages of the rosters of a large room."""


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
        self.places = Places(limits)
        self.slow_work = SlowWork(limits)
        self.stopped = False
        self.told = ""
        self.turn: Turn[Any] = Turn(Everyone())
        """What goes to the room, and is not in the outboxes yet."""
        self._long: dict[int, tuple[Message, bytes]] = {}
        self._unwritten: list[_Connection] = []
        self._turn_ends: asyncio.Handle | None = None
        self._listener: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serve whoever connects, in TLS where a context is given, until `stop`."""
        if tls:
            self._accepting = asyncio.create_task(self._accept(listener, tls))
            return
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), sock=listener, backlog=512)

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        """Welcome whoever connects. A handshake that stands still holds a place, as silence does: it has its time, and
        counts from its beginning on, while `create_server` would tell of it only when it is over."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        with listener:
            while True:
                try:
                    sock, address = await loop.sock_accept(listener)
                except OSError:  # out of descriptors, or it hung up already: whoever is here goes on talking
                    await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                    continue
                connection = _Connection(self)
                connection.address = address[0]
                if self.places.enter(connection):
                    sock.close()  # nothing can be said before a handshake, and a handshake is what is too much
                    continue
                task = connection.handshake = asyncio.create_task(self._welcome(sock, connection, tls))
                self._handshakes.add(task)
                task.add_done_callback(self._handshakes.discard)

    async def _welcome(self, sock: socket.socket, connection: "_Connection", tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):  # what scanners leave behind, ssl.SSLError among it
                await loop.connect_accepted_socket(
                    lambda: connection, sock, ssl=tls, ssl_handshake_timeout=self.limits.join_seconds
                )
        finally:
            if connection.handshake:
                self.places.leave(connection)

    @property
    def crowded(self) -> bool:
        """Are there so many already who may read why they have no place?"""
        return len(self.open) >= len(self.places.holders) + REFUSED_AT_ONCE

    async def stop(self) -> None:
        """Close the listener and every connection."""
        self.stopped = True  # a connection that is just being accepted is cut as soon as it is made
        if self._listener:
            self._listener.close()
        if self._accepting:
            await _cancelled(self._accepting)
            await asyncio.sleep(0)  # a handshake that is cancelled before it began would not close its socket
        for task in list(self._handshakes):
            await _cancelled(task)
        remaining = list(self.open)
        for connection in remaining:
            connection.transport.abort()
        await asyncio.gather(*(connection.lost for connection in remaining))
        self.slow_work.stop()

    def tell(self, sentence: str) -> None:
        """Tell the operator what is wrong; the same thing once, until something goes well again."""
        if sentence != self.told:
            self.told = sentence
            print(f"! {sentence}", file=sys.stderr, flush=True)

    def perform(self, by: "_Connection | None", effects: Iterable[ServerEffect]) -> None:
        """Carry out what a session answered; without `by`, what the operator wants, for sessions that are named."""
        for effect in effects:
            if isinstance(effect, Send):
                self.send(effect.message, effect.to)
            elif isinstance(effect, Close):
                closing = self.connections[effect.session] if effect.session else by
                if closing:
                    closing.finish()
            elif by:
                by.work(effect)

    def send(self, message: Message, recipients: Sequence[ServerSession]) -> None:
        """Send a message to each of these, at the end of the turn."""
        if isinstance(recipients, Others):
            if recipients.everyone is not self.turn.everyone:
                self.hand_out()
                self.turn = Turn(recipients.everyone)
            self.turn.add(message, recipients)
        else:
            if any(map(self.turn.reaches, recipients)):  # what was said before comes before
                self.hand_out()
            line = self.encoded(message)
            for session in recipients:
                self.put(session, line)
        if not self._turn_ends:
            self._turn_ends = asyncio.get_running_loop().call_soon(self._read_on)

    def encoded(self, message: Message) -> bytes:
        """A message's line; a long one, such as a page of a roster, is kept for the next who is sent it."""
        if id(message) in self._long:
            return self._long[id(message)][1]
        line = encode(message)
        if len(line) > LONG_BYTES:
            self._long[id(message)] = message, line  # it is kept too, or another could get its id
            if len(self._long) > LONG_KEPT:
                del self._long[next(iter(self._long))]
        return line

    def hand_out(self) -> None:
        """Put what was gathered for the room into everybody's outbox."""
        for session, data in self._begin_turn().shares():
            self.put(session, data)

    def _begin_turn(self) -> Turn[Any]:
        """Gather anew; here is what was gathered before."""
        gathered, self.turn = self.turn, Turn(self.turn.everyone)
        return gathered

    def put(self, session: ServerSession, data: bytes) -> None:
        """Put some lines into a session's outbox."""
        connection = self.connections[session]
        if data and not connection.outbox:
            self._unwritten.append(connection)
        if data:
            connection.outbox.append(data)

    def _read_on(self) -> None:
        """Everything is read that has come by now, and goes out with the rest: else what comes while one half of the
        room's messages are written becomes another half, for ever, and everybody is written to twice as often."""
        self._turn_ends = asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """Write to each one in turn, so that the share of one that spoke is gone before that of the next is joined."""
        self._turn_ends = None
        for session, data in self._begin_turn().shares():
            self.put(session, data)
            self.connections[session].write()
        unwritten, self._unwritten = self._unwritten, []
        for connection in unwritten:
            connection.write()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel it, and wait until it is over."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class _Connection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport
    session: ServerSession

    address: str

    def __init__(self, runtime: ServerRuntime) -> None:
        self.runtime = runtime
        self.handshake: asyncio.Task[None] | None = None
        """While it lasts."""
        self.outbox: list[bytes] = []
        self.reader = runtime.reader()
        self.unread: deque[bytes] = deque()
        self.broken: WireError | None = None
        self.working = False
        self.hushed = False
        self.said = 0
        self.sent: Counter[ServerSession | None] = Counter()
        self.overspent = False
        self.allowance = runtime.limits.burst_bytes
        self.spent_at = asyncio.get_running_loop().time()
        self.gone = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.half_closes = self.transport.can_write_eof()  # TCP can end one direction, TLS cannot
        self.address = transport.get_extra_info("peername")[0]
        why = "" if self.handshake else self.runtime.places.enter(self)
        self.handshake = None
        if self.runtime.stopped or (why and self.runtime.crowded):
            self.gone = True
            self.transport.abort()
            return
        self.session = self.runtime.server.session(self.address)
        self.decoder = decoder(self.session.accepts)
        self.runtime.connections[self.session] = self
        self.runtime.open.add(self)
        if why:
            self.refuse("full", why)
            return
        seconds = self.runtime.limits.join_seconds
        self.timer = asyncio.get_running_loop().call_later(seconds, self.time_to_join_is_over)

    @property
    def outside(self) -> bool:
        """Has nobody joined here yet?"""
        return self.handshake is not None or not self.session.inside

    def give_way(self) -> None:
        """Somebody from elsewhere gets this place."""
        if self.handshake:  # one that is cancelled before it began would not close its socket
            asyncio.get_running_loop().call_soon(self.handshake.cancel)
        elif self.gone or self.runtime.crowded:
            self.transport.abort()
        else:
            self.refuse("silent", "All places are taken, and nobody joined on this one; come again and join at once.")

    def data_received(self, data: bytes) -> None:
        if self.gone:
            return
        self.spend(len(data))
        try:
            for line in self.reader.feed(data):
                self.unread.append(line)
        except WireError as error:
            self.broken = error
        self.read()

    def read(self) -> None:
        """Give the session the lines that have come, as long as it does no slow work."""
        most = self.runtime.limits.says_per_second
        uncounted = most // 2
        left = uncounted - self.said
        try:
            while self.unread and not (self.gone or self.working or self.hushed):
                effects = self.session.received(self.decoder.decode(self.unread.popleft()))
                self.runtime.perform(self, effects)
                left -= 1
                if left < 0:  # half of what anybody may be sent in a second: from now on, look at whom it is for
                    self.count(effects, most - uncounted)
            if self.broken and not (self.working or self.hushed):
                raise self.broken
        except WireError as error:
            self.refuse(error.code, error.reason)
        self.said = uncounted - left

    def count(self, effects: Sequence[ServerEffect], most: int) -> None:
        """Say no more for this second, once somebody was sent so much in it: what is said to the room goes to all."""
        for effect in effects:
            if isinstance(effect, Send):
                whom = None if isinstance(effect.to, Others) else effect.to[0]
                if whom is self.session:  # an answer
                    continue
                self.sent[whom] += 1
                if self.sent[None] + (self.sent[whom] if whom else 0) >= most:
                    self.hushed = True
                    self.read_on()
                    asyncio.get_running_loop().call_later(1.0, self.next_second)
                    return

    def next_second(self) -> None:
        """Read on, with what is here already first."""
        self.hushed = False
        self.new_second()
        if not self.gone:
            self.read_on()
            self.read()

    def new_second(self) -> None:
        """It has said nothing yet."""
        self.said = 0
        self.sent.clear()

    def work(self, work: Work) -> None:
        """Do slow work in the pool, when it is this address's turn; read no more until it is done."""
        if not self.runtime.slow_work.queue_up(self, work):
            self.refuse("busy", "Too many people are logging in right now; try again in a moment.")
            return
        self.working = True
        self.read_on()

    def worked(self, done: "asyncio.Future[Any]", work: Work) -> None:
        """The slow work is done: go on with its result, unless the client has gone."""
        self.working = False
        if done.cancelled() or self.gone:
            return
        self.read_on()
        try:
            effects = work.then(done.result())
        except Exception as error:
            self.refuse("failed", "The server could not do that just now; its operator can see why.")
            if not isinstance(error, LabError):
                raise  # asyncio shows it to the operator
            self.runtime.tell(str(error))
            return
        self.runtime.told = ""
        self.runtime.perform(self, effects)
        self.read()

    def spend(self, size: int) -> None:
        """Read no more from a client that sends too fast, until its allowance (a token bucket) has grown again."""
        loop, limits = asyncio.get_running_loop(), self.runtime.limits
        now = loop.time()
        earned = (now - self.spent_at) * limits.bytes_per_second
        self.allowance = min(self.allowance + earned, limits.burst_bytes) - size
        if int(now) != int(self.spent_at) and not self.hushed:
            self.new_second()
        self.spent_at = now
        if self.allowance < 0 and not self.overspent:
            self.overspent = True
            self.read_on()
            loop.call_later(-self.allowance / limits.bytes_per_second, self.earned)

    def earned(self) -> None:
        """The allowance has grown again."""
        self.overspent = False
        self.read_on()

    def read_on(self) -> None:
        """Read from the socket, or do not: while slow work is done, and while it has sent or said too much."""
        if self.working or self.overspent or self.hushed:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        if not self.gone:
            try:
                self.reader.end()
            except WireError as error:
                self.refuse(error.code, error.reason)
            else:
                self.leave()
        self.transport.close()  # what is queued is still written; the timer set by `leave` ends it at last
        return self.half_closes

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        if self.timer:
            self.timer.cancel()
        self.runtime.open.discard(self)
        self.runtime.places.leave(self)
        self.lost.set_result(None)

    def time_to_join_is_over(self) -> None:
        """Silence holds a place that somebody else could use."""
        seconds = self.runtime.limits.join_seconds
        if self.working:  # it is not the client who keeps us waiting
            self.timer = asyncio.get_running_loop().call_later(seconds, self.time_to_join_is_over)
        elif not self.session.inside:
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
        if self.half_closes and not self.transport.is_closing():
            with contextlib.suppress(OSError):  # it is gone already, and that is told next
                self.transport.write_eof()
        else:
            self.transport.close()

    def leave(self) -> None:
        """The session ends, once, with what was said before; what is left of the connection ends soon."""
        if self.gone:
            return
        self.runtime.put(self.session, self.runtime.turn.share(self.session))
        self.gone = True
        self.runtime.perform(self, self.session.disconnected())
        del self.runtime.connections[self.session]
        if self.timer:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(self.runtime.limits.linger_seconds, self.transport.abort)
        self.write()
