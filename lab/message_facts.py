"""Facts of a run about what was said: the secrets that the scene planted, messages, and what is sealed of them."""

import base64
import re
from collections.abc import Iterable
from typing import Any, Final

from attacks.listener import Heard
from lab.answers import Unreadable, Value, frame_number
from lab.fact import Fact, exact, frames_of, words
from lab.last_run import Absent, Run
from lab.reading import name_of

TAG_BYTES: Final = 16
"""What AES-GCM, ChaCha20-Poly1305 and NaCl Box add to a text."""


def frame_of_room_canary(run: Run) -> Fact:
    """The first frame in which `room-…` can be read: `frame contains "room-"`, and more than the name of a field."""
    return _first_frame(run, "room", "whisper")


def password_frame(run: Run) -> Fact:
    """The first frame in which Alice's `password-…` can be read: `frame contains "password-"`."""
    found = _first_frame(run, "password", "room")
    others = [n for n, heard in run.messages if heard.fields.get("password") and n not in found.right]
    return Fact(found.right, [*found.wrong, (others, "{n} has somebody else's password.")], frame_number)


def whisper_frame(run: Run) -> Fact:
    """The first whisper's frame: `udp && frame contains "whisper"`; its type can be read also where its text cannot."""
    return frames_of([n for n, heard in run.messages if heard.transport == "UDP"], "a whisper", run)


def room_canary(run: Run) -> Fact:
    """What follows "The door code is": `room-…`. Where it is sealed on the wire, from what Alice typed."""
    return _canary(run, "room", "whisper")


def whisper_canary(run: Run) -> Fact:
    """What follows "the safe opens with": `whisper-…`."""
    return _canary(run, "whisper", "room")


def messages_of_type_say(run: Run) -> Fact:
    """How many messages of type `say` crossed the wire, also those inside TLS where the run has its secrets."""
    says = _of_type(run.opened, "say")
    typed = [heard for _, heard in says if heard.target[1] == run.stage.port]
    by_alice = [heard for heard in typed if name_of(heard.source[0]) == "alice"]
    return Fact(
        {len(says)},
        [
            (
                {len(typed)},
                "{n} is how many went to the server; it passes each on to every other member, once for each.",
            ),
            ({len(says) - len(typed)}, "{n} is how many the server sent; those that came to it count too."),
            ({len(by_alice)}, "{n} is how many Alice sent."),
            ({len(run.opened)}, "{n} is all messages, of every type."),
        ],
    )


def nonce_of_first_say(run: Run) -> Fact:
    """The `nonce` of the first `say`, in base64 as it stands in the line; at stage 4 from the copy with secrets."""
    first, others = _sealed_says(run)
    nonce = str(first["nonce"])
    return Fact(
        [nonce, base64.b64decode(nonce).hex()],
        [
            ([str(other["nonce"]) for other in others if other["nonce"] != nonce], "{n} is the nonce of a later one."),
            ([str(first["ciphertext"])], "{n} is the ciphertext; the nonce stands before it."),
        ],
        exact,
    )


def ciphertext_length_of_first_say(run: Run) -> Fact:
    """How many bytes the `ciphertext` of the first `say` has, after base64."""
    first, _ = _sealed_says(run)
    text = str(first["ciphertext"])
    size = len(base64.b64decode(text))
    return Fact(
        {size},
        [
            ({len(text)}, "{n} is the length in base64, four letters for every three bytes."),
            ({size - TAG_BYTES}, f"{{n}} is the text; the tag of {TAG_BYTES} bytes belongs to the ciphertext."),
            ({size * 8}, "{n} is in bits."),
        ],
    )


def key_requests_of_bob(run: Run) -> Fact:
    """How many different public keys Bob's key requests have on the wire (`sniffer --where type=key-request`)."""
    mine = [heard for _, heard in _of_type(run.opened, "key-request") if heard.fields.get("from") == "bob"]
    if not mine:
        raise Absent("Bob asks for no key in this run.")
    keys = {heard.fields.get("public_key") for heard in mine}
    return Fact({len(keys)}, [({len(mine)}, "{n} is how often such a request crosses the wire; count different keys.")])


def _first_frame(run: Run, kind: str, other: str) -> Fact:
    """The first frame with this canary in it; the copies of it, and the other canary's, are known."""
    found = [f.number for f in run.frames if re.search(_pattern(kind).encode(), f.data)]
    beside = [f.number for f in run.frames if re.search(_pattern(other).encode(), f.data)]
    if not found:
        raise Absent(f"No frame of {run.path} shows it in the clear.")
    return Fact(
        {found[0]},
        [(found[1:], "{n} carries it too: a copy, later than the first."), (beside, "{n} carries the other secret.")],
        _frame,
    )


def _frame(text: str) -> Value:
    """The number of a frame, and not what is in it. Raises Unreadable."""
    if re.search(r"(room|password)-[0-9a-f]", text):
        raise Unreadable("That is the secret itself, well found; asked for is the number of the frame that carries it.")
    return frame_number(text)


def _pattern(kind: str) -> str:
    return rf"(?<![a-z-]){kind}-[0-9a-f]{{12}}\b"


def _canary(run: Run, kind: str, other: str) -> Fact:
    """A canary as it can be read in a frame, else as Alice typed it in this run."""
    for frame in run.frames:
        if found := re.search(_pattern(kind).encode(), frame.data):
            right = [found[0].decode()]
            break
    else:
        typed = [line for line in run.transcript.splitlines() if line.lstrip().startswith("alice  alice>")]
        right = re.findall(_pattern(kind), "\n".join(typed))
    if not right:
        raise Absent(f"Nobody said such a secret in {run.path.parent}.")
    beside = re.findall(_pattern(other), run.transcript)
    elsewhere = [word for word in re.findall(_pattern(kind), run.transcript) if word not in right]
    parts = [word.partition("-")[2] for word in right]
    return Fact(
        right,
        [
            (beside, "{n} is the other secret."),
            (elsewhere, "{n} is of another scene of that run: every scene draws its own."),
            (parts, f"{{n}} is half of it; give all of it, with {kind}- before."),
        ],
        words,
    )


def _of_type(messages: Iterable[tuple[int, Heard]], kind: str) -> list[tuple[int, Heard]]:
    return [(n, heard) for n, heard in messages if heard.fields.get("type") == kind]


def _sealed_says(run: Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first sealed `say`, and the later ones. Raises Absent."""
    says = [heard.fields for _, heard in _of_type(run.opened, "say") if {"nonce", "ciphertext"} <= set(heard.fields)]
    if not says:
        raise Absent(f"Nothing in {run.path} is sealed and can be seen.")
    return says[0], says[1:]
