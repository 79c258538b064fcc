"""Targets: what a server is sent, what a client is sent by a server and by anybody at all, and what a person types."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import inspect

import stages
from common import commands
from common.levers import Levers
from common.limits import TEXT_BYTES
from common.messages import Message, Presence
from common.session import Close, Datagram, Later, Person, Send, Show
from common.wire import LineReader, WireError, decoder, encode
from stages import Stage
from tests.fuzz.cases import TEXTS, Make, almost, as_json, broken, fields, lines, messages, pieces, plain
from tests.fuzz.house import House, attack, only_sentences, proper
from tests.fuzz.target import Check, Target

KEY: Final = bytes(range(1, 33))
"""The room key, and Alice's own; Bob's is another."""
MOST_EFFECTS: Final = 600
"""Of one message: a roster's page has 250 members, each of whom may be met with two notices."""


def of_server(stage: Stage, folder: Path) -> tuple[Make, Check]:
    """Whoever connects sends this."""
    house = House(stage, folder)
    session = house.server.session("127.0.0.1")
    anything = broken(messages(session.accepts))
    join, *_ = session.accepts.__args__

    def entering(rng: Random) -> bytes:
        kind = inspect.type_info(join)
        assert isinstance(kind, inspect.StructType)
        entry = fields(kind, rng) | {"name": "mallory", "udp_port": 9}
        if "password" in entry:
            entry |= {
                "type": rng.choice(("login", "register")),
                "password": "sesame",
                "name": rng.choice(("mallory", "eve")),
            }
        return as_json(entry, rng) + b"\n"

    def make(rng: Random) -> bytes:
        return (entering(rng) if rng.randrange(3) else b"") + lines(anything)(rng)

    return make, lambda data, rng: attack(house, data, rng)


class Peers:
    """A client of a stage that is called Alice, and what Bob, who has the right keys, can make for her."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.levers = Levers({}, stage.levers)
        self.module = stage._module("client")
        self.number = 0

    def client(self) -> Any:
        """A client that is in the room with Bob, as if it had just come."""
        folder = self.folder / "alice"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        if self.stage.number >= 5:
            (folder / "identity").write_text(KEY.hex())
            (folder / "identity").chmod(0o600)
        session = self.stage.client(self.levers, Person("alice", 4000, password="x", register=True, folder=folder))
        session.connected()
        for message in self.greeting(session):
            session.received(message)
        return session

    def greeting(self, session: Any) -> Iterator[Message]:
        """The roster, and from stage 3 on the room key."""
        kinds: dict[str, Any] = {kind.__struct_config__.tag: kind for kind in session.accepts.__args__}
        item = inspect.type_info(kinds["roster"]).fields[0].type.item_type.cls  # type: ignore[attr-defined]
        key = {"public_key": self.bob.public_key._public_key} if item is not Presence else {}
        own = {"public_key": session.public_key} if item is not Presence else {}
        bob = item(name="bob", address="127.0.0.2", udp_port=9, **key)
        yield kinds["roster"](members=[item(name="alice", address="127.0.0.1", udp_port=4000, **own), bob])
        if hasattr(session, "room_key"):
            session.room_key = self.module.RoomKey(KEY, session.ciphers)

    @property
    def bob(self) -> Any:
        """Bob's key pair, at stage 5."""
        from nacl.public import PrivateKey

        return PrivateKey(bytes(reversed(KEY)))

    def sealed(self, kind: str, rng: Random) -> bytes:
        """What Bob says, sealed as it should be, though what is inside may be anything."""
        text = rng.choice(TEXTS[:-1]) or "hi"
        to = "alice" if kind == "whisper" or rng.randrange(2) else None
        shape = {"room": "room" if to is None else "direct", "whisper": "whisper"}[kind]
        counter = (rng.choice((1, 1, 2, 2**53 - 1)), rng.choice((0, 1, 2, 63, 64, 65, 2**53 - 1)))
        if self.stage.number < 3:
            kinds = self.module.Whisper if kind == "whisper" else self.module.Say
            return plain(kinds(sender="bob", to=to, text=text))
        if self.stage.number < 5:
            return self._with_room_key(shape, to, counter, text, rng)
        return self._in_a_box("room" if kind == "room" and rng.randrange(2) else shape, counter, text, rng)

    def _with_room_key(self, kind: Any, to: Any, counter: Any, text: str, rng: Random) -> bytes:
        from stages.stage3_symmetric.room_key import AesGcm, Ciphers

        class Strange(AesGcm):
            """Seals bytes that are no text."""

            def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
                inside = rng.choice((text, rng.randbytes(9), b"", b"\xff" * 9, b"x" * (TEXT_BYTES + 1)))
                return super().seal(key, inside, associated_data)

        room_key = self.module.RoomKey(KEY, Ciphers(cipher=Strange()))
        return plain(room_key.seal(kind, "bob", to, counter, text))

    def _in_a_box(self, kind: Any, counter: Any, text: str, rng: Random) -> bytes:
        from nacl.public import Box, PrivateKey

        content = {
            "version": 1,
            "kind": kind,
            "room": "lobby",
            "from": "bob",
            "to": "alice",
            "counter": counter,
            "text": text,
        }
        inside = broken(lambda r: as_json(almost(content, r) if r.randrange(2) else content, r))(rng)
        sealed = Box(self.bob, PrivateKey(KEY).public_key).encrypt(inside)
        made = self.module.Whisper if kind == "whisper" else self.module.Say
        return plain(made(sender="bob", to="alice", nonce=sealed.nonce, ciphertext=sealed.ciphertext))


def shown(effects: Any) -> list[tuple[str, ...]]:
    """What a session's answers come to for whoever looks: rows, and that something was sent."""
    assert len(effects) <= MOST_EFFECTS
    found: list[tuple[str, ...]] = []
    for effect in effects:
        assert isinstance(effect, Send | Close | Datagram | Later | Show)
        if isinstance(effect, Show):
            assert proper(effect)
            found.append((effect.kind, effect.sender, effect.text))
        elif isinstance(effect, Send | Datagram):
            encode(effect.message)
            found.append((type(effect).__name__, str(effect.message.__struct_config__.tag)))
    return found


def heard(session: Any, parts: list[bytes]) -> list[tuple[str, ...]]:
    """What comes of a stream, up to where the client leaves."""
    reader, found = LineReader(), []
    try:
        for part in parts:
            for line in reader.feed(part):
                effects = session.received(decoder(session.accepts).decode(line))
                found += shown(effects)
                if any(isinstance(effect, Close) for effect in effects):
                    return found
    except WireError as error:
        return [*found, ("wire", error.code)]
    return found


def of_client(stage: Stage, folder: Path) -> tuple[Make, Check]:
    """A server sends this to a client that is in the room; what Bob says in it is sealed as it should be."""
    peers = Peers(stage, folder)
    anything = messages(peers.client().accepts)

    def one(rng: Random) -> bytes:
        return peers.sealed("room", rng) if rng.randrange(3) == 0 else anything(rng)

    def check(data: bytes, rng: Random) -> None:
        whole = heard(peers.client(), [data])
        session = peers.client()
        with only_sentences():
            assert heard(session, pieces(data, rng)) == whole
        session.disconnected()
        assert not session.roster

    return lines(broken(one)), check


def of_whispers(stage: Stage, folder: Path) -> tuple[Make, Check]:
    """Anybody sends this to a member's UDP port; another whisper of Bob's still arrives after it."""
    peers = Peers(stage, folder)
    anything = messages(peers.client().whispers)

    def make(rng: Random) -> bytes:
        return broken(lambda r: peers.sealed("whisper", r) if r.randrange(2) else anything(r))(rng)

    def check(data: bytes, rng: Random) -> None:
        session = peers.client()
        with contextlib.suppress(WireError):  # it is dropped with an alarm: the runtime's part
            for _ in range(2):  # the second time it is the same datagram, replayed
                shown(session.datagram(decoder(session.whispers).decode(data), ("127.0.0.1", 9)))
        assert set(session.roster) == {"alice", "bob"}

    return make, check


def of_typing(stage: Stage, folder: Path) -> tuple[Make, Check]:
    """A person types this."""
    peers = Peers(stage, folder)
    words = ["/to", "/whisper", "/who", "/help", "/quit", "/verify", "/trust", "/keys", "/", "bob", "alice", "x" * 5000]

    def make(rng: Random) -> bytes:
        said = [rng.choice((rng.choice(words), rng.choice(TEXTS))) for _ in range(rng.randrange(1, 5))]
        return broken(lambda r: " ".join(said).encode(errors="surrogatepass"))(rng)

    def check(data: bytes, rng: Random) -> None:
        session = peers.client()
        for line in data.decode(errors="surrogateescape").splitlines():
            with only_sentences():
                shown(commands.typed(session, line))

    return make, check


MAKERS: Final[dict[str, tuple[Callable[[Stage, Path], tuple[Make, Check]], float]]] = {
    "server": (of_server, 60.0),
    "client": (of_client, 25.0),
    "whisper": (of_whispers, 30.0),
    "typed": (of_typing, 10.0),
}


def targets() -> Iterator[Target]:
    """Each for every stage."""
    for number, stage in stages.catalogue().items():
        for name, (maker, share) in MAKERS.items():
            yield Target(f"{name}-{number}", partial(maker, stage), share)
