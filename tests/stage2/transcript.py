"""A whole conversation at stage 2, frozen in transcript.txt; tests/transcripts.py says how, and how to change it.

libsodium draws the salt itself and takes none from outside, so of what is stored the name, the parameters and the
sizes are frozen here; test_transcript.py works out the rest again from the salt that was drawn.
"""

import sqlite3
from pathlib import Path

from common.messages import Say
from stages.stage2_hashed_auth.accounts import Accounts, Argon2id
from stages.stage2_hashed_auth.client import ClientSession
from stages.stage2_hashed_auth.server import Server
from tests.transcripts import Conversation


def transcript(folder: Path) -> str:
    """Three register, speak, whisper, go and come back; a wrong password and a name taken are refused."""
    file = folder / "accounts.sqlite"
    passwords = {"a thief": "guess"}

    def client(name: str, port: int, own: Path, new: bool) -> ClientSession:
        return ClientSession(name, port, passwords.get(own.name, "sesame"), register=new and own.name != "a thief")

    talk = Conversation(folder, Server(Accounts(file, Argon2id())), client)
    for name in ("alice", "bob", "carol"):
        talk.comes(name)
    talk.types("alice", "Good morning!")
    talk.types("alice", "/to bob Only you, through the server.")
    talk.types("alice", "/whisper bob Only you, directly.")
    talk.types("alice", "/to dora Are you there?")
    talk.asks("carol", Say(sender="bob", text="I owe Carol a cake."), "carol speaks as bob")
    talk.goes("alice")
    talk.comes("alice")
    talk.comes("bob", "a second bob")
    talk.comes("bob", "a thief")
    talk.types("bob", "/quit")
    talk.lines.append("\n# What is stored")
    talk.lines += [f"{name} {form(stored)}" for name, stored in stored_in(file)]
    return talk.text()


def stored_in(file: Path) -> list[tuple[str, bytes]]:
    """Names, and what stands beside them in the database."""
    database = sqlite3.connect(file)
    try:
        return list(database.execute("SELECT name, stored FROM accounts ORDER BY name"))
    finally:
        database.close()


def form(stored: bytes) -> str:
    """What is stored, with the sizes of salt and hash (in base64) in place of themselves."""
    *parameters, salt, digest = stored.decode().split("$")
    return "$".join([*parameters, f"<{len(salt)}>", f"<{len(digest)}>"])
