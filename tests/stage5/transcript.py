"""A whole conversation at stage 5, frozen in transcript.txt; tests/transcripts.py says how, and how to change it."""

from pathlib import Path

import nacl.public
import pytest

from stages.stage5_box.accounts import Accounts
from stages.stage5_box.box import NoPadding, PeerBox, identity
from stages.stage5_box.client import ClientSession
from stages.stage5_box.counters import Counters
from stages.stage5_box.pins import Pins
from stages.stage5_box.server import Server
from stages.stage5_box.what_if.password_hash import Plaintext
from tests.transcripts import Conversation, Numbers


def client(name: str, port: int, own: Path, new: bool) -> ClientSession:
    """A client with all that its folder keeps."""
    key = identity(own / "identity")
    return ClientSession(
        name,
        port,
        "sesame",
        register=new,
        own=key,
        pins=Pins(own / "pins.json"),
        counters=Counters(own, bytes(key.public_key)),
        sealer=PeerBox,
        padding=NoPadding(),
    )


def transcript(folder: Path) -> str:
    """Three meet, speak and whisper; old and changed boxes are refused, and so is Bob, who comes with another key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nacl.public, "random", Numbers().urandom)  # keys and nonces
        talk = Conversation(folder, Server(Accounts(folder / "accounts.sqlite", Plaintext())), client)
        speak(talk)
        return talk.text()


def speak(talk: Conversation) -> None:
    """What happens."""
    for name in ("alice", "bob", "carol"):
        talk.comes(name)
    talk.types("alice", "Good morning!")
    talk.types("bob", "Good morning, Alice.")
    talk.types("alice", "/to bob Only you, through the server.")
    talk.types("alice", "/whisper bob Only you, directly.")
    whisper = talk.last("alice → bob")
    talk.types("alice", "/to dora Are you there?")
    talk.gets("bob", whisper, "the whisper comes again")
    talk.gets("bob", whisper.replace(b'"from":"alice"', b'"from":"carol"'), "the whisper comes in carol's name")
    talk.gets("alice", swapped(whisper), "the whisper comes back to alice, as from bob")
    talk.goes("alice")
    talk.comes("alice")
    talk.types("alice", "I am back.")
    talk.goes("bob")
    (talk.folder / "bob" / "identity").unlink()
    talk.comes("bob")
    talk.types("alice", "/to bob Is it you?")
    talk.types("alice", "Carol, was that Bob?")
    talk.types("bob", "It is me.")
    talk.types("alice", "/trust bob")
    talk.types("alice", "/whisper bob Welcome back.")
    talk.types("carol", "/quit")


def swapped(whisper: bytes) -> bytes:
    """The same box, with sender and recipient changed over."""
    return whisper.replace(b'"from":"alice","to":"bob"', b'"from":"bob","to":"alice"')
