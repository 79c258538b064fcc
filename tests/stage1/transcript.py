"""A whole conversation at stage 1, frozen in transcript.txt; tests/transcripts.py says how, and how to change it."""

from pathlib import Path

from common.messages import Say
from stages.stage1_plaintext.client import ClientSession
from stages.stage1_plaintext.server import Server
from tests.transcripts import Conversation


def transcript(folder: Path) -> str:
    """Alice, Bob and Carol come, speak, whisper and go; one is refused, and one speaks in another's name."""
    talk = Conversation(folder, Server(), lambda name, port, own, new: ClientSession(name, port))
    for name in ("alice", "bob", "carol"):
        talk.comes(name)
    talk.types("alice", "Good morning!")
    talk.types("alice", "/to bob Only you, through the server.")
    talk.types("alice", "/whisper bob Only you, directly.")
    talk.types("alice", "/to dora Are you there?")
    talk.types("bob", "/who")
    talk.comes("alice", "a second alice")
    talk.comes("a1ice", "somebody alike")
    talk.asks("carol", Say(sender="bob", text="I owe Carol a cake."), "carol speaks as bob")
    talk.gets("alice", b'{"type":"whisper","from":"dora","to":"alice","text":"Hello?"}', "a whisper of nobody's comes")
    talk.goes("alice")
    talk.types("bob", "/quit")
    return talk.text()
