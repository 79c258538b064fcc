"""Opening recorded TLS 1.2: the key derivation against a published vector, records against OpenSSL's own."""

import contextlib
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from attacks import static_rsa


def test_key_derivation_gives_the_published_vector() -> None:
    """P_SHA256, from the IETF TLS list (Mavrogiannopoulos, "TLS 1.2 PRF test vectors")."""
    secret, seed = bytes.fromhex("9bbe436ba940f017b17652849a71db35"), bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    made = static_rsa.prf("sha256", secret, b"test label", seed, 100)
    assert made.hex().startswith("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a4")
    assert len(made) == 100


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def recorded(key: rsa.RSAPrivateKey, folder: Path, ciphers: str, said: list[bytes]) -> tuple[bytes, bytes]:
    """What a client and a server of OpenSSL's send each other."""
    name, now = x509.Name([]), datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(own + made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for context in (server, client):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    server.load_cert_chain(folder / "server.pem")
    wires = [ssl.MemoryBIO() for _ in range(4)]  # client out, server in, server out, client in
    at_client = client.wrap_bio(wires[3], wires[0])
    at_server = server.wrap_bio(wires[1], wires[2], server_side=True)
    sent = [b"", b""]

    def carry() -> None:
        for way, (out, into) in enumerate(((wires[0], wires[1]), (wires[2], wires[3]))):
            data = out.read()
            sent[way] += data
            into.write(data)

    for _ in range(4):
        for end in (at_client, at_server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            carry()
    for words in said:
        at_client.write(words)
    carry()
    return sent[0], sent[1]


@pytest.mark.parametrize("ciphers", ["AES256-GCM-SHA384", "AES128-GCM-SHA256"])
def test_recorded_connection_is_opened_with_the_key_of_the_server(
    key: rsa.RSAPrivateKey, tmp_path: Path, ciphers: str
) -> None:
    sent = recorded(key, tmp_path, ciphers, [b"first line\n", b"x" * 40_000])
    assert static_rsa.opened(*sent, key) == b"first line\n" + b"x" * 40_000


def test_key_exchange_with_forward_secrecy_is_not_opened(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    sent = recorded(key, tmp_path, "ECDHE-RSA-AES256-GCM-SHA384", [b"first line\n"])
    assert static_rsa.opened(*sent, key) == b""


def test_another_key_opens_nothing(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    sent = recorded(key, tmp_path, "AES256-GCM-SHA384", [b"first line\n"])
    assert static_rsa.opened(*sent, rsa.generate_private_key(65537, 2048)) == b""


def test_number_beyond_the_keys_modulus_opens_nothing(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    client, server = recorded(key, tmp_path, "AES256-GCM-SHA384", [b"first line\n"])
    exchange = static_rsa.side(client).message(static_rsa.CLIENT_KEY_EXCHANGE)
    assert exchange
    encrypted = exchange[2:]
    assert len(encrypted) == 256
    assert static_rsa.opened(client.replace(encrypted, b"\xff" * 256), server, key) == b""


@pytest.mark.parametrize("cut", [0, 1, 4, 40, 200])
def test_recording_that_begins_and_nothing_more_is_no_error(key: rsa.RSAPrivateKey, tmp_path: Path, cut: int) -> None:
    client, server = recorded(key, tmp_path, "AES256-GCM-SHA384", [b"first line\n"])
    assert static_rsa.opened(client[:cut], server[:cut], key) == b""


def test_segments_out_of_order_and_twice_make_one_stream() -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    def frame(seq: int, data: bytes, flags: str = "PA") -> bytes:
        ip = IP(src="10.13.37.2", dst="10.13.37.1")
        return bytes(Ether() / ip / TCP(sport=4000, dport=5004, seq=seq, flags=flags) / data)

    frames = [frame(99, b"", "S"), frame(103, b"def"), frame(100, b"abc"), frame(100, b"abc"), frame(102, b"cdef")]
    assert list(static_rsa.streams(frames, 5004)) == [(b"abcdef", b"")]
