"""A whole conversation with pinned randomness, message by message. When the protocol changes on purpose:

python -m tests.stage3.transcript > tests/stage3/transcript.txt
"""

import tempfile
from pathlib import Path

import pytest

from common.wire import encode
from tests.stage3.table import Table, pin_randomness

FROZEN = Path(__file__).with_name("transcript.txt")


def transcript(folder: Path) -> str:
    """Alice, Bob and Carol come, speak, whisper, go and come back; a line for each message."""
    with pytest.MonkeyPatch.context() as patch:
        pin_randomness(patch)
        table = Table(folder)
        for name in ("alice", "bob", "carol"):
            table.sit(name)
        table.types("alice", "Good morning!")
        table.types("bob", "Good morning, Alice.")
        table.types("alice", "/to bob Only you, through the server.")
        table.types("alice", "/whisper bob Only you, directly.")
        table.types("alice", "/to dora Are you there?")
        table.goes("alice")
        table.sit("alice")
        table.types("alice", "I am back.")
        return "".join(f"{way}\n    {encode(message).decode()}" for way, message in table.log)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(transcript(Path(folder)), end="")
