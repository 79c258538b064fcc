"""What it costs a member of stage 5 to say something to a room of a hundred: a box for each, against libsodium in C.

    python -m benchmarks boxes

Ours is the stage's own client session: `say` on a text of 100 characters, with all it looks at (pins, counters, the
content that is sealed), until the messages are there that go to the server. Theirs is `peers/box.c`: as many boxes of
the same size, precomputed for each peer, with the nonces of a message drawn in one go, and nothing else. The two take
turns; processor time, medians. And what the server makes of the boxes: it hands on the bytes that it was given.
"""

import cProfile
import json
import os
import pstats
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import stages
from benchmarks import peers
from benchmarks.rows import Result, Row, Slice, Tell
from common.errors import LabError
from common.levers import Levers
from common.session import Person, Send
from stages.stage5_box.accounts import Login
from stages.stage5_box.box import Member, Roster, Say
from stages.stage5_box.box import PeerBox as Box

PEERS: Final = 100
MESSAGES: Final = 30
ROUNDS: Final = 5
SIZE: Final = 200
"""Bytes that are sealed for a text of 100 characters, names and counter included; it is checked."""
TEXT: Final = "x" * 100
SHOWN: Final = 12
PYTHON: Final = (
    "A call into libsodium through cffi, and the objects around it, cost more than the sealing itself, which takes "
    "about a microsecond; it is done once for each peer. The profile has the rest."
)


def speaker(folder: Path) -> Any:
    """A member in a room of a hundred others, whose keys it knows."""
    from nacl.public import PrivateKey

    stage = stages.find(5)
    session: Any = stage.client(Levers.parse("", stage.levers), Person("alice", 9, folder=folder))
    keys = {"alice": session.public_key} | {f"peer-{n}": bytes(PrivateKey.generate().public_key) for n in range(PEERS)}
    session.received(
        Roster(members=[Member(name=n, address="127.0.0.1", udp_port=9, public_key=key) for n, key in keys.items()])
    )
    session.say(TEXT)  # the boxes are precomputed the first time
    return session


def said(session: Any) -> float:
    """Boxes to a second of processor. Raises LabError where they are not all made, or of another size."""
    began = time.process_time()
    made = [session.say(TEXT) for _ in range(MESSAGES)]
    took = time.process_time() - began
    boxes: list[Any] = [effect.message for effects in made for effect in effects if isinstance(effect, Send)]
    if len(boxes) != MESSAGES * PEERS or abs(len(boxes[0].ciphertext) - 16 - SIZE) > SIZE // 10:
        raise LabError(f"{len(boxes)} boxes of {len(boxes[0].ciphertext)} bytes: that is not what was to be measured.")
    return len(boxes) / took


def call_alone() -> float:
    """Boxes to a second of processor, where nothing is done but to call libsodium from Python: more cannot be had."""
    from nacl.bindings import crypto_box_beforenm, crypto_box_easy_afternm
    from nacl.public import PrivateKey

    own, peer = PrivateKey.generate(), PrivateKey.generate()
    shared, plain = crypto_box_beforenm(bytes(peer.public_key), bytes(own)), b"x" * SIZE
    began = time.process_time()
    for _ in range(MESSAGES * PEERS):
        crypto_box_easy_afternm(plain, os.urandom(24), shared)
    return MESSAGES * PEERS / (time.process_time() - began)


def in_c(binary: Path) -> float:
    """The same, of the program in C."""
    words = [str(binary), str(PEERS), str(MESSAGES * 20), str(SIZE)]
    told = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return float(told["boxes"] / told["seconds"])


def profiled(session: Any) -> list[Slice]:
    """Where the session's time goes, function by function."""
    profile = cProfile.Profile()
    profile.runcall(said, session)
    stats: Any = pstats.Stats(profile)
    spent = sorted(((own, where) for where, (_, _, own, _, _) in stats.stats.items()), reverse=True)
    return [
        Slice(own / stats.total_tt, f"{Path(file).stem}: {function}" if line else function, "")
        for own, (file, line, function) in spent[:SHOWN]
    ]


def relayed_unread() -> float:
    """The share of boxes that come out of the server with the very bytes that went in, made with a key it has not."""
    from nacl.public import PrivateKey

    stage = stages.find(5)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        server: Any = stage.server(Levers.parse("password_hash=sha256", stage.levers), Path(name))
        keys = {who: PrivateKey.generate() for who in ("alice", "bob")}
        sessions = {who: server.session("127.0.0.1") for who in keys}
        for who, session in sessions.items():
            session.enter(Login(name=who, password=who, udp_port=9, public_key=bytes(keys[who].public_key)))
        box = Box(keys["alice"], bytes(keys["bob"].public_key))
        same = 0
        for _ in range(PEERS):
            nonce, ciphertext = box.seal(TEXT.encode())
            (sent,) = sessions["alice"].received(Say(sender="alice", to="bob", nonce=nonce, ciphertext=ciphertext))
            same += (sent.message.nonce, sent.message.ciphertext) == (nonce, ciphertext)
    return same / PEERS


def result(say: Tell) -> Result:
    """Both. Raises LabError where there is no compiler, or no libsodium to compile with."""
    made = Result(limits=f"{PEERS} peers, texts of {len(TEXT)} characters, {SIZE} bytes sealed. No limits are set.")
    made.rows.append(Row(name="boxes relayed as they came", ours=relayed_unread(), unit="of all", target="relaying"))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        say("The stage's own session.")
        binary, session = peers.compiled(Path(name), "box", "-lsodium"), speaker(Path(name))
        rounds = [(said(session), in_c(binary)) for _ in range(ROUNDS)]
        row = Row(
            name="a member speaks to 100 peers",
            ours=statistics.median(ours for ours, _ in rounds),
            theirs=statistics.median(theirs for _, theirs in rounds),
            unit="boxes to a CPU second",
            against="libsodium in C",
            target="sealing",
            why=PYTHON,
            profile="a member speaks to 100 peers",
        )
        made.rows.append(row)
        theirs = statistics.median(theirs for _, theirs in rounds)
        made.rows.append(
            Row(
                name="PyNaCl's call alone, a nonce for each",
                ours=call_alone(),
                theirs=theirs,
                unit=row.unit,
                against=row.against,
            )
        )
        if not row.met:
            made.profiles[row.name] = profiled(session)
    return made
