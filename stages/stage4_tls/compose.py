"""How the sessions are put together, and which levers there are."""

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from common.client import Client
from common.levers import COMMON, Lever, Levers
from common.session import Person

from . import tls
from .accounts import Accounts, Argon2id, Hashing
from .client import ClientSession
from .counters import Counters
from .room_key import AesGcm, Cipher, Ciphers, NoPadding
from .server import Server

LEVERS: Final = (
    *COMMON,
    Lever("authentication", ("on", "off"), "is a password asked for, and looked at?"),
    Lever("password_hash", ("argon2id", "scrypt", "salted-sha256", "sha256", "plaintext"), "how passwords are stored"),
    Lever("sender", ("from-session", "from-message"), "whose name the server writes on what is said"),
    Lever("cipher", ("aes-256-gcm", "chacha20-poly1305", "aes-256-ctr", "aes-256-ecb", "off"), "how texts are sealed"),
    Lever("key_exchange", ("diffie-hellman", "passphrase"), "where members have the room key from"),
    Lever("transport", ("tls", "tls-1.2-static-rsa", "tcp"), "what the protocol runs in"),
    Lever("verify", ("full", "no-hostname", "none"), "what a client looks at in the server's certificate"),
    Lever("starttls", ("off", "opportunistic"), "does a client go on in the clear where TLS fails?"),
    Lever("pin_server_key", ("off", "on"), "does a client remember the server's key?"),
    Lever("replay_protection", ("off", "on"), "are counters checked?"),
    Lever("padding", ("off", "buckets"), "is a text's length hidden?"),
)
WANTS_PASSWORD: Final = True
ONE_CLIENT_A_FOLDER: Final = True
"""By hand, a second client that would write the same counters does not start."""


def server(levers: Levers, folder: Path) -> Server:
    """A server that keeps its accounts in this folder."""
    hashing = hashing_for(levers)
    accounts: type[Accounts] = Accounts
    made: type[Server] = Server
    if levers["authentication"] == "off":
        from .what_if.authentication_off import AnyPassword as accounts
    if levers["sender"] == "from-message":
        from .what_if.sender_from_message import TrustingServer as made
    return made(accounts(folder / "accounts.sqlite", hashing))


def hashing_for(levers: Levers) -> Hashing:
    """The way of storing passwords that the lever asks for."""
    from .what_if import password_hash

    ways: dict[str, type[Hashing]] = {"argon2id": Argon2id, **password_hash.WAYS}
    return ways[levers["password_hash"]]()


def client(levers: Levers, person: Person) -> ClientSession:
    """A member's client."""
    folder = person.folder or Path()
    return session_for(levers, person)(
        person.name,
        person.udp_port,
        person.password,
        register=person.register,
        ciphers=ciphers_for(levers),
        counters=counters_for(levers)(folder),
    )


def wants_passphrase(levers: Levers) -> bool:
    """Is a client made with the room's passphrase?"""
    return levers["key_exchange"] == "passphrase"


def session_for(levers: Levers, person: Person) -> Callable[..., ClientSession]:
    """A session that asks for the room key, or one that knows what it is made from."""
    if not wants_passphrase(levers):
        return ClientSession
    from .what_if.key_exchange_passphrase import PassphraseSession

    return partial(PassphraseSession, person.passphrase)


def ciphers_for(levers: Levers) -> Ciphers:
    """What texts go through, as the levers ask."""
    from .what_if import cipher, padding_buckets

    ways: dict[str, Cipher] = {"aes-256-gcm": AesGcm(), **cipher.WAYS}
    return Ciphers(ways[levers["cipher"]], NoPadding() if levers["padding"] == "off" else padding_buckets.Buckets())


def counters_for(levers: Levers) -> type[Counters]:
    """Counters that are checked, or not."""
    if levers["replay_protection"] == "off":
        return Counters
    from .what_if import key_exchange_passphrase, replay_protection_on

    told = not wants_passphrase(levers)
    return replay_protection_on.CheckedCounters if told else key_exchange_passphrase.UntoldCounters


def server_tls(levers: Levers, folder: Path) -> ssl.SSLContext | None:
    """What the server speaks; the authority's folder stands beside its own."""
    if levers["transport"] == "tcp":
        return None
    if levers["transport"] == "tls-1.2-static-rsa":
        from .what_if import transport_static_rsa

        return transport_static_rsa.server_context(folder, folder.parent / "ca")
    return tls.server_context(folder, folder.parent / "ca")


def client_tls(levers: Levers, person: Person) -> ssl.SSLContext | None:
    """What a client accepts."""
    if levers["transport"] == "tcp":
        return None
    folder = person.folder or Path()
    context = tls.client_context(person.ca or folder.parent / "ca" / "ca.pem")
    if levers["transport"] == "tls-1.2-static-rsa":
        from .what_if import transport_static_rsa

        transport_static_rsa.restrict(context)
    if levers["verify"] != "full":
        from .what_if import verify

        verify.WAYS[levers["verify"]](context)
    if levers["pin_server_key"] == "on":
        from .what_if import pin_server_key

        pin_server_key.pin(context, folder / "server-key")
    return context


def client_program(levers: Levers) -> type[Client]:
    """What makes a client's connections."""
    if levers["starttls"] == "opportunistic":
        from .what_if.starttls_opportunistic import OpportunisticClient

        return OpportunisticClient
    return Client
