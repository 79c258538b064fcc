"""Opening recorded TLS 1.2 connections with the server's RSA key, where the key exchange was RSA (RFC 5246).

The client chose a secret and sent it encrypted with the server's public key; all keys come from that secret and from
two random numbers that anyone could hear. With any other key exchange there is no such message, and nothing to open.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.session import Address

CHANGE_CIPHER_SPEC: Final = 20
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23
CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
NEW_SESSION_TICKET: Final = 4
CLIENT_KEY_EXCHANGE: Final = 16
EXTENDED_MASTER_SECRET: Final = 23
"""The extension's number (RFC 7627)."""
SUITES: Final = {0x009C: ("sha256", 16), 0x009D: ("sha384", 32)}
"""TLS_RSA_WITH_AES_128_GCM_SHA256 and TLS_RSA_WITH_AES_256_GCM_SHA384 (RFC 5288): hash, and bytes of a key."""
SALT_BYTES: Final = 4
NONCE_BYTES: Final = 8
TAG_BYTES: Final = 16

Way = tuple[Address, Address]


def streams(frames: Iterable[bytes], port: int) -> Iterator[tuple[bytes, bytes]]:
    """Every recorded connection to this port: what the client sent, and what the server sent."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    segments: dict[Way, dict[int, bytes]] = {}
    for frame in frames:
        packet = Ether(frame)
        if TCP not in packet or port not in (packet[TCP].sport, packet[TCP].dport):
            continue
        way = (packet[IP].src, packet[TCP].sport), (packet[IP].dst, packet[TCP].dport)
        size = packet[IP].len - 4 * packet[IP].ihl - 4 * packet[TCP].dataofs
        if packet[TCP].flags.S:
            segments[way] = {packet[TCP].seq + 1: b""}
        if size and way in segments:
            data = bytes(packet[TCP].payload)[:size]
            segments[way][packet[TCP].seq] = max(segments[way].get(packet[TCP].seq, b""), data, key=len)
    for (client, server), sent in segments.items():
        if server[1] == port:
            yield _joined(sent), _joined(segments.get((server, client), {}))


def _joined(segments: dict[int, bytes]) -> bytes:
    """A stream out of its segments, as far as nothing is missing; what was sent again is taken once."""
    stream, position = b"", min(segments, default=0)
    for seq, data in sorted(segments.items()):
        if seq > position:
            break
        stream += data[position - seq :]
        position = max(position, seq + len(data))
    return stream


@dataclass
class Side:
    """What one side sent: its handshake, and the records that are encrypted."""

    handshake: list[bytes] = field(default_factory=list)
    sealed: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """Type, version and content of each."""

    def message(self, kind: int) -> bytes | None:
        """The body of its first handshake message of this kind."""
        return next((m[4:] for m in self.handshake if m[0] == kind), None)


def side(stream: bytes) -> Side:
    """Take a stream apart into records, and the unencrypted part of its handshake into messages."""
    found, clear, encrypted = Side(), b"", False
    while len(stream) >= 5 and len(stream) >= 5 + int.from_bytes(stream[3:5], "big"):
        kind, version, end = stream[0], stream[1:3], 5 + int.from_bytes(stream[3:5], "big")
        content, stream = stream[5:end], stream[end:]
        if encrypted:
            found.sealed.append((kind, version, content))
        elif kind == CHANGE_CIPHER_SPEC:
            encrypted = True
        elif kind == HANDSHAKE:
            clear += content
    while len(clear) >= 4:
        end = 4 + int.from_bytes(clear[1:4], "big")
        found.handshake.append(clear[:end])
        clear = clear[end:]
    return found


def opened(client_sent: bytes, server_sent: bytes, key: RSAPrivateKey) -> bytes:
    """All that the client said in this connection; nothing where the key does not open it."""
    client, server = side(client_sent), side(server_sent)
    hello, answer = client.message(CLIENT_HELLO), server.message(SERVER_HELLO)
    exchange = client.message(CLIENT_KEY_EXCHANGE)
    if not (hello and answer and exchange):
        return b""
    session_id_end = 35 + answer[34]
    suite = SUITES.get(int.from_bytes(answer[session_id_end : session_id_end + 2], "big"))
    encrypted = exchange[2:]
    if suite is None or len(encrypted) * 8 != key.key_size:
        return b""
    hash_name, key_bytes = suite
    try:
        premaster = key.decrypt(encrypted, PKCS1v15())
    except ValueError:  # a number beyond this key's modulus
        return b""
    client_random, server_random = hello[2:34], answer[2:34]
    if EXTENDED_MASTER_SECRET in _extensions(answer[session_id_end + 3 :]):
        flight = [message for message in server.handshake if message[0] != NEW_SESSION_TICKET]  # it comes later
        transcript = client.handshake[:1] + flight + client.handshake[1:]  # up to the key exchange
        label, seed = b"extended master secret", hashlib.new(hash_name, b"".join(transcript)).digest()
    else:
        label, seed = b"master secret", client_random + server_random
    master = prf(hash_name, premaster, label, seed, 48)
    block = prf(hash_name, master, b"key expansion", server_random + client_random, 2 * (key_bytes + SALT_BYTES))
    return _application_data(client.sealed, block[:key_bytes], block[2 * key_bytes : 2 * key_bytes + SALT_BYTES])


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """TLS 1.2's key derivation (RFC 5246, section 5)."""
    out, a = b"", label + seed
    while len(out) < size:
        a = hmac.digest(secret, a, hash_name)
        out += hmac.digest(secret, a + label + seed, hash_name)
    return out[:size]


def _extensions(listed: bytes) -> list[int]:
    """The numbers of the extensions in a ServerHello."""
    numbers, rest = [], listed[2:]
    while len(rest) >= 4:
        number, size = struct.unpack("!HH", rest[:4])
        numbers.append(number)
        rest = rest[4 + size :]
    return numbers


def _application_data(sealed: list[tuple[int, bytes, bytes]], key: bytes, salt: bytes) -> bytes:
    """Open records (RFC 5288, section 3); stop at the first that does not open."""
    said = b""
    for number, (kind, version, content) in enumerate(sealed):
        nonce, ciphertext = content[:NONCE_BYTES], content[NONCE_BYTES:]
        about = struct.pack("!QB2sH", number, kind, version, len(ciphertext) - TAG_BYTES)
        try:
            plain = AESGCM(key).decrypt(salt + nonce, ciphertext, about)
        except InvalidTag:
            break
        said += plain if kind == APPLICATION_DATA else b""
    return said
