"""How the sessions are put together, and which levers there are."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nacl.public import PrivateKey

from common.client import Client
from common.levers import COMMON, Lever, Levers
from common.session import Person

from . import tls
from .accounts import Accounts, Argon2id, Hashing
from .box import NoPadding, Padding, PeerBox, Sealer, identity
from .client import ClientSession
from .counters import Counters
from .pins import Pins
from .server import Server

LEVERS: Final = (
    *COMMON,
    Lever("authentication", ("on", "off"), "is a password asked for, and looked at?"),
    Lever("password_hash", ("argon2id", "scrypt", "salted-sha256", "sha256", "plaintext"), "how passwords are stored"),
    Lever("sender", ("from-session", "from-message"), "whose name the server writes on what is said"),
    Lever("transport", ("tls", "tls-1.2-static-rsa", "tcp"), "what the protocol runs in"),
    Lever("verify", ("full", "no-hostname", "none"), "what a client looks at in the server's certificate"),
    Lever("starttls", ("off", "opportunistic"), "does a client go on in the clear where TLS fails?"),
    Lever("pin_server_key", ("off", "on"), "does a client remember the server's key?"),
    Lever("sealing", ("box", "off"), "is what members say sealed between the two of them?"),
    Lever("pinning", ("first-use", "none", "verified"), "whose keys are believed"),
    Lever("replay_protection", ("on", "off"), "are counters checked?"),
    Lever("padding", ("off", "buckets"), "is a text's length hidden?"),
)
WANTS_PASSWORD: Final = True
ONE_CLIENT_A_FOLDER: Final = True
"""By hand, a second client that would write the same counters and pins does not start."""


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
    """A member's client, with the key, the pins and the counters that its folder keeps."""
    folder = person.folder or Path()
    pins: type[Pins] = Pins
    counters: type[Counters] = Counters
    sealer: Callable[[PrivateKey, bytes], Sealer] = PeerBox
    padding: Padding = NoPadding()
    own = identity(folder / "identity")
    if levers["pinning"] != "first-use":
        from .what_if import pinning

        pins = pinning.WAYS[levers["pinning"]]
    if levers["replay_protection"] == "off":
        from .what_if.replay_protection_off import UncheckedCounters as counters
    if levers["sealing"] == "off":
        from .what_if.sealing_off import Unsealed as sealer
    if levers["padding"] == "buckets":
        from .what_if.padding_buckets import Buckets

        padding = Buckets()
    return ClientSession(
        person.name,
        person.udp_port,
        person.password,
        register=person.register,
        own=own,
        pins=pins(folder / "pins.json"),
        counters=counters(folder, bytes(own.public_key)),
        sealer=sealer,
        padding=padding,
    )


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
