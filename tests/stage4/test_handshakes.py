"""Stage 4's certificates, what is in them; and whoever comes to the TLS port and does not speak TLS as one should."""

import asyncio
import contextlib
import datetime
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.client import TLS_NAME, Client
from common.errors import LabError
from common.hosts import ThisMachine
from common.levers import Levers
from common.limits import Limits
from common.runtime import ServerRuntime
from common.session import Address, Person
from stages.stage4_tls import compose, tls
from tests.room import Member, Peer, leave, run

LEVERS = Levers.parse("", compose.LEVERS)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with an authority and a server's certificate."""
    tls.renew(tmp_path / "server", tmp_path / "ca")
    return tmp_path


def certificate(file: Path) -> x509.Certificate:
    """The certificate in a file."""
    return x509.load_pem_x509_certificate(file.read_bytes())


# What is in the certificates.


def extensions(certificate: x509.Certificate) -> dict[str, tuple[bool, Any]]:
    """Each extension: is it critical, and what it says."""
    return {type(one.value).__name__: (one.critical, one.value) for one in certificate.extensions}


def test_authority_may_sign_servers_certificates_and_nothing_else(made: Path) -> None:
    ca = certificate(made / "ca" / "ca.pem")
    has = extensions(ca)
    assert set(has) == {"BasicConstraints", "KeyUsage", "SubjectKeyIdentifier"}
    assert has["BasicConstraints"] == (True, x509.BasicConstraints(ca=True, path_length=0))
    assert has["KeyUsage"] == (True, tls.usage(sign_certificates=True))
    assert has["KeyUsage"][1].key_cert_sign
    assert not has["KeyUsage"][1].digital_signature


def test_servers_certificate_is_for_one_name_and_for_servers(made: Path) -> None:
    ca, leaf = certificate(made / "ca" / "ca.pem"), certificate(made / "server" / "server.pem")
    has = extensions(leaf)
    assert {name for name, (critical, _) in has.items() if critical} == {"BasicConstraints", "KeyUsage"}
    assert has["BasicConstraints"][1] == x509.BasicConstraints(ca=False, path_length=None)
    assert has["KeyUsage"][1].digital_signature
    assert not has["KeyUsage"][1].key_cert_sign
    assert has["ExtendedKeyUsage"][1] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    assert has["SubjectAlternativeName"][1] == x509.SubjectAlternativeName([x509.DNSName(TLS_NAME)])
    assert has["AuthorityKeyIdentifier"][1].key_identifier == extensions(ca)["SubjectKeyIdentifier"][1].digest
    assert leaf.issuer == ca.subject
    leaf.verify_directly_issued_by(ca)


@pytest.mark.parametrize(("name", "days"), [("ca/ca.pem", 365), ("server/server.pem", 30)])
def test_certificate_is_short_lived_of_p_256_and_unguessable(made: Path, name: str, days: int) -> None:
    one = certificate(made / name)
    assert one.not_valid_after_utc - one.not_valid_before_utc == datetime.timedelta(days=days) + tls.CLOCK_SKEW
    assert one.not_valid_before_utc <= datetime.datetime.now(datetime.UTC) - tls.CLOCK_SKEW
    key = one.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert one.version is x509.Version.v3
    assert one.serial_number.bit_length() > 64


# A server with TLS on a real socket.


class Served:
    """A running server, and what its event loop complained of."""

    def __init__(self, runtime: ServerRuntime, address: Address, folder: Path) -> None:
        self.runtime, self.address, self.folder = runtime, address, folder
        self.complaints: list[dict[str, Any]] = []

    async def member(self, stack: contextlib.AsyncExitStack, name: str, where: str | None = None) -> Member:
        """Somebody registers."""
        member = Member()
        own = self.folder / name
        own.mkdir()
        person = Person(name, 0, "sesame", register=True, folder=own)

        def session(udp_port: int) -> Any:
            return compose.client(LEVERS, Person(name, udp_port, "sesame", register=True, folder=own))

        at = (where or self.address[0], self.address[1])
        member.client = await Client.start(
            ThisMachine(), at, session, member.show, tls=compose.client_tls(LEVERS, person)
        )
        stack.push_async_callback(leave, member)
        return member


@contextlib.asynccontextmanager
async def served(folder: Path, limits: Limits | None = None) -> AsyncIterator[Served]:
    """Stage 4's server."""
    listener = await ThisMachine().listen(0)
    (folder / "server").mkdir(exist_ok=True)
    runtime = ServerRuntime(compose.server(LEVERS, folder / "server"), limits or Limits())
    here = Served(runtime, listener.getsockname(), folder)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: here.complaints.append(context))
    await runtime.start(listener, compose.server_tls(LEVERS, folder / "server"))
    try:
        yield here
    finally:
        await runtime.stop()
        await asyncio.sleep(0)


HELLO = bytes.fromhex("16030100f8010000f40303")  # the beginning of a ClientHello, and then nothing


def hang_up(peer: Peer) -> None:
    """With a reset, as a scanner does."""
    peer.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


STRANGERS = {
    "hangs up at once": (b"", hang_up),
    "hangs up in the handshake": (HELLO, hang_up),
    "ends in the handshake": (HELLO, Peer.close),
    "speaks the protocol in the clear": (b'{"type":"login"}\n', None),
    "speaks HTTP": (b"GET / HTTP/1.1\r\n\r\n", None),
    "speaks nonsense": (bytes(5000), None),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_stranger_at_the_tls_port_is_no_traceback_and_bothers_nobody(
    tmp_path: Path, stranger: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as server, contextlib.AsyncExitStack() as stack:
            alice = await server.member(stack, "alice")
            await alice.sees("here: alice (127.0.0.1)")
            peers = [await Peer.connect(server.address) for _ in range(5)]
            for peer in peers:
                said, ends = STRANGERS[stranger]
                await peer.send(said)
                if ends:
                    ends(peer)
            bob = await server.member(stack, "bob")
            await alice.sees("bob joined, from 127.0.0.1")
            await bob.sees("here: alice (127.0.0.1), bob (127.0.0.1)")
            bob.says("hello")
            assert (await alice.next()).text == "hello"
            for peer in peers:
                if peer.sock.fileno() >= 0:  # it is told that this is TLS, or nothing, and the connection is closed
                    with contextlib.suppress(ConnectionResetError):
                        while await asyncio.get_running_loop().sock_recv(peer.sock, 4096):
                            pass
                    peer.close()
            assert len(server.runtime.open) == 2
            assert server.complaints == []

    run(scenario())
    assert "Traceback" not in capfd.readouterr().err


def test_handshake_that_stands_still_is_cut(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path, Limits(join_seconds=0.2)) as server:
            peer = await Peer.connect(server.address)
            await peer.send(HELLO)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(peer.sock, 1) == b""
            peer.close()
            assert server.complaints == []

    run(scenario(), 5)


def test_server_that_says_nothing_is_not_waited_for_for_ever(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.client.TLS_SECONDS", 0.2)

    async def scenario() -> None:
        listener = await ThisMachine().listen(0)
        silent = Served(ServerRuntime(compose.server(LEVERS, made / "server")), listener.getsockname(), made)
        async with contextlib.AsyncExitStack() as stack:
            with pytest.raises(LabError, match="Nothing was sent"):
                await silent.member(stack, "alice")
        listener.close()
        silent.runtime.slow_work.pool.shutdown()

    run(scenario(), 5)


def test_older_tls_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as server:
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            old.load_verify_locations(tmp_path / "ca" / "ca.pem")
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await asyncio.open_connection(*server.address, ssl=old, server_hostname=TLS_NAME)

    run(scenario())


@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.2"])
def test_name_is_looked_at_whatever_address_is_dialled(tmp_path: Path, where: str) -> None:
    async def scenario() -> None:
        async with served(tmp_path) as server, contextlib.AsyncExitStack() as stack:
            if where != server.address[0]:  # the same server under another address of this machine
                listener = await ThisMachine(where).listen(0)
                server.address = listener.getsockname()
                context = compose.server_tls(LEVERS, tmp_path / "server")
                other = ServerRuntime(server.runtime.server)
                await other.start(listener, context)
                stack.push_async_callback(other.stop)
            alice = await server.member(stack, "alice", where)
            assert (await alice.next()).text.startswith("here: alice")

    run(scenario())


@pytest.mark.parametrize("name", ["server/server.key", "ca/ca.key"])
def test_folder_in_the_place_of_a_key_is_one_sentence(made: Path, name: str) -> None:
    (made / name).unlink()
    (made / name).mkdir(mode=0o700)
    with pytest.raises(LabError, match="is no private key"):
        tls.renew(made / "server", made / "ca")
