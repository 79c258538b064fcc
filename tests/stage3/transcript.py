"""A whole conversation at stage 3, frozen in transcript.txt; tests/transcripts.py says how, and how to change it."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.transcripts import Conversation, Numbers


def transcript(folder: Path, package: str = "stages.stage3_symmetric") -> str:
    """Three come, speak, whisper, go and come back; what was changed is refused, and one waits in vain for a key.

    package: the stage; a later one with the same sessions says the same.
    """
    part = {name: importlib.import_module(f"{package}.{name}") for name in ("accounts", "client", "counters", "server")}
    room_key: Any = importlib.import_module(f"{package}.room_key")
    plaintext: Any = importlib.import_module(f"{package}.what_if.password_hash").Plaintext

    def client(name: str, port: int, own: Path, new: bool) -> Any:
        ciphers, counters = room_key.Ciphers(), part["counters"].Counters(own)
        return part["client"].ClientSession(name, port, "sesame", register=new, ciphers=ciphers, counters=counters)

    with pytest.MonkeyPatch.context() as patch:
        pin_randomness(patch, part["client"], room_key)
        accounts = part["accounts"].Accounts(folder / "accounts.sqlite", plaintext())
        talk = Conversation(folder, part["server"].Server(accounts), client)
        speak(talk)
        return talk.text()


def pin_randomness(patch: pytest.MonkeyPatch, client: Any, room_key: Any) -> None:
    """Keys, nonces and room keys are 1, 2, 3 … instead of random."""
    numbers = Numbers()
    patch.setattr(client, "X25519PrivateKey", numbers)
    patch.setattr(room_key, "X25519PrivateKey", numbers)
    patch.setattr(room_key, "os", numbers)


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
    talk.goes("alice")
    talk.comes("alice")
    talk.types("alice", "I am back.")
    talk.gets("bob", whisper, "the whisper comes again: counters are not checked")
    later = whisper.replace(b'"counter":[1,0]', b'"counter":[9,9]')
    talk.gets("bob", later, "the whisper comes again with another counter on it")
    talk.asleep.add("bob")
    talk.comes("dora")
    talk.times_out("dora")
    talk.types("carol", "/quit")
