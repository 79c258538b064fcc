"""The probes of stage 5: boxes, pins and counters, against the reference."""

import os
import secrets
from typing import Any, Final

import msgspec
from nacl.public import PrivateKey

from lab.exercise.probes import Asking, probe
from lab.exercise.program import Trouble
from stages.stage5_box.box import Content, Kind, NoPadding, NotOpened, PeerBox, Say, Whisper, open_from, safety_number
from stages.stage5_box.box import seal_for as sealed_for

TEXT: Final = "Meet me at the old mill – at nine."
SMALL_ORDER: Final = bytes(32)


def plain(message: Any) -> Any:
    """A message as it is on the wire."""
    return msgspec.to_builtins(message)


class Pair:
    """Alice and Bob, with fresh keys."""

    def __init__(self) -> None:
        self.alice, self.bob = PrivateKey.generate(), PrivateKey.generate()

    @property
    def hexed(self) -> dict[str, tuple[str, str]]:
        """For each of them: the own private key and the peer's public one."""
        alice, bob = self.alice, self.bob
        return {
            "alice": (bytes(alice).hex(), bytes(bob.public_key).hex()),
            "bob": (bytes(bob).hex(), bytes(alice.public_key).hex()),
        }

    def sealed(self, content: Content) -> Say | Whisper:
        """What the reference seals, as Alice for Bob."""
        return sealed_for(PeerBox(self.alice, bytes(self.bob.public_key)), NoPadding(), content)


def content(kind: Kind = "room", sender: str = "alice", to: str = "bob") -> Content:
    """What Alice says to Bob."""
    return Content(version=1, kind=kind, room="lobby", sender=sender, to=to, counter=(1, 0), text=TEXT)


@probe
async def boxes_agree(at: Asking) -> str:
    """Each side opens what the other sealed."""
    pair = Pair()
    for kind in ("room", "direct", "whisper"):
        wanted = content(kind)
        message = msgspec.convert(await at.call("box_seal", *pair.hexed["alice"], plain(wanted)), Say | Whisper)
        try:
            opened = open_from(PeerBox(pair.bob, bytes(pair.alice.public_key)), NoPadding(), message)
        except NotOpened:
            return f"The reference cannot open what seal_for made of a {kind} message."
        if opened != wanted:
            return f"What seal_for made of a {kind} message has another content than was sealed."
        returned = await at.returned("box_open", *pair.hexed["bob"], plain(pair.sealed(wanted)))
        if returned.raised:
            return f"open_from raises {returned.raised} for a {kind} message that the reference sealed."
        if msgspec.convert(returned.value, Content) != wanted:
            return f"open_from gives another content than the reference sealed ({kind})."
    return ""


@probe
async def nonces_are_fresh(at: Asking) -> str:
    """No two boxes have one nonce."""
    pair, nonces = Pair(), set()
    for _ in range(2):
        for _ in range(5):
            message = await at.call("box_seal", *pair.hexed["alice"], plain(content()))
            nonces.add(str(message["nonce"]))
        at.close()  # as after a restart
    return "" if len(nonces) == 10 else f"Ten boxes between the same two have {len(nonces)} different nonces."


@probe
async def changed_box(at: Asking) -> str:
    """A box of which a bit was changed does not open."""
    pair = Pair()
    message = pair.sealed(content())
    data, nonce = message.ciphertext, message.nonce
    changed = {
        "of which a bit was changed": (nonce, data[:-1] + bytes([data[-1] ^ 1])),
        "without a nonce": (b"", data),
        "with a nonce that is too long": (nonce + bytes(8), data),
        "that is shorter than its tag": (nonce, data[:8]),
    }
    for what, (beside, ciphertext) in changed.items():
        other = msgspec.structs.replace(message, nonce=beside, ciphertext=ciphertext)
        if await _opened(at, pair, "bob", other):
            return f"A box {what} was opened."
    return ""


@probe
async def no_contents(at: Asking) -> str:
    """What a peer sealed and is no Content is refused, and stops nobody's client."""
    pair = Pair()
    right = plain(content())
    inside = {
        "no JSON": b"\xff\xfe",
        "nothing": b"",
        "a list": b"[]",
        "a field too few": msgspec.json.encode({name: value for name, value in right.items() if name != "room"}),
        "another version": msgspec.json.encode({**right, "version": 2}),
        "another room": msgspec.json.encode({**right, "room": "cellar"}),
        "a counter below zero": msgspec.json.encode({**right, "counter": [1, -1]}),
    }
    for what, data in inside.items():
        nonce, ciphertext = PeerBox(pair.alice, bytes(pair.bob.public_key)).seal(data)
        if await _opened(at, pair, "bob", Say(sender="alice", to="bob", nonce=nonce, ciphertext=ciphertext)):
            return f"A box was opened in which there is {what}: decode it strictly, as a Content."
    return ""


async def _opened(at: Asking, pair: Pair, who: str, message: Say | Whisper) -> bool:
    return not await at.refused("box_open", *pair.hexed[who], plain(message))


@probe
async def inside_against_outside(at: Asking) -> str:
    """Whatever stands outside and differs from what stands inside is refused."""
    pair = Pair()
    replace = msgspec.structs.replace
    if await _opened(at, pair, "bob", replace(pair.sealed(content()), sender="carol")):
        return "A box that Alice made was opened with “from”: “carol” on it: the name outside was believed."
    if await _opened(at, pair, "bob", replace(pair.sealed(content()), to="dave")):
        return "A box for Bob was opened with “to”: “dave” on it."
    return ""


@probe
async def other_kind(at: Asking) -> str:
    """A room box delivered as a whisper is refused, and the other way round."""
    pair = Pair()
    room, whisper = pair.sealed(content("room")), pair.sealed(content("whisper"))
    as_whisper = Whisper(sender="alice", to="bob", nonce=room.nonce, ciphertext=room.ciphertext)
    if await _opened(at, pair, "bob", as_whisper):
        return "What Alice said to the room opened as a whisper."
    as_say = Say(sender="alice", to="bob", nonce=whisper.nonce, ciphertext=whisper.ciphertext)
    if await _opened(at, pair, "bob", as_say):
        return "What Alice whispered opened as something said through the server."
    return ""


@probe
async def reflection(at: Asking) -> str:
    """Alice's own box, sent back to her in Bob's name, is refused: the two share one key for both directions."""
    pair = Pair()
    sent = pair.sealed(content())
    if await _opened(at, pair, "alice", msgspec.structs.replace(sent, sender="bob", to="alice")):
        return "A box that Alice made for Bob came back to her in Bob's name, and opened."
    return ""


@probe
async def small_order_refused(at: Asking) -> str:
    """A public key of small order is refused."""
    own = bytes(PrivateKey.generate()).hex()
    if not await at.refused("box_seal", own, SMALL_ORDER.hex(), plain(content())):
        return "A box was made for a public key of zeros: everybody knows the shared secret."
    return ""


@probe
async def safety_numbers(at: Asking) -> str:
    """The same on both sides, and the reference's."""
    members = [(f"user-{secrets.token_hex(2)}", os.urandom(32)) for _ in range(2)]
    hexed = [[name, key.hex()] for name, key in members]
    one, other = await at.call("box_safety_number", hexed), await at.call("box_safety_number", hexed[::-1])
    if one != other:
        return f"One side sees {str(one)[:24]}…, the other {str(other)[:24]}…"
    if one != safety_number(*members):
        return f"It begins {str(one)[:24]}…, and the reference's {safety_number(*members)[:24]}…"
    return ""


@probe
async def pins_hold(at: Asking) -> str:
    """What the pins answer, one question after the other."""
    bobs, other, carols = (os.urandom(32).hex() for _ in range(3))
    table: list[tuple[list[Any], object, str]] = [
        (["meet", "bob", bobs], "first", "Bob is met for the first time"),
        (["meet", "bob", bobs], "known", "Bob comes again with his key"),
        (["meet", "bob", other], "changed", "Bob comes with another key"),
        (["may_talk", "bob", other], False, "may anything be sealed for that other key?"),
        (["meet", "bob", other], "changed", "Bob comes with that other key once more"),
        (["is_pinned", "bob", bobs], True, "is his first key still the pinned one?"),
        (["meet", "carol", bobs], "shared", "Carol comes with Bob's key"),
        (["again"], None, ""),
        (["meet", "bob", bobs], "known", "after a restart Bob comes with his key"),
        (["meet", "bob", other], "changed", "after a restart Bob comes with the other key"),
        (["meet", "carol", carols], "first", "Carol is met with a key of her own"),
    ]
    return await _answers(at, "pins", table)


@probe
async def counters_are_checked(at: Asking) -> str:
    """What the counters answer, message after message: through the server in order, whispers with a window."""
    bob = os.urandom(32).hex()
    rows: list[tuple[str, list[int], int | None, str]] = [
        ("room", [3, 0], 0, "the first message"),
        ("room", [3, 1], 0, "the next one"),
        ("room", [3, 1], None, "the same one again"),
        ("room", [3, 0], None, "an older one"),
        ("room", [3, 4], 2, "one that leaves two out"),
        ("room", [2, 9], None, "one of an earlier start"),
        ("room", [4, 0], 0, "the first after a restart"),
        ("whisper", [3, 0], 0, "the first whisper: kinds are counted apart"),
        ("whisper", [3, 5], 0, "a whisper that overtook others"),
        ("whisper", [3, 2], 0, "one of those overtaken"),
        ("whisper", [3, 2], None, "the same whisper again"),
        ("whisper", [3, 90], 0, "a whisper far ahead"),
        ("whisper", [3, 3], None, "one that is behind the window of 64"),
    ]
    table: list[tuple[list[Any], object, str]] = [
        (["accept", bob, kind, counter], expected, what) for kind, counter, expected, what in rows
    ]
    table += [
        (["again"], None, ""),
        (["accept", bob, "room", [4, 0]], None, "after our own restart, a message from before it"),
    ]
    return await _answers(at, "counters", table)


@probe
async def counters_are_new(at: Asking) -> str:
    """No counter is used twice, also after a restart."""
    bob, carol = os.urandom(32).hex(), os.urandom(32).hex()
    steps = [["next", bob, "room"], ["next", bob, "room"], ["next", carol, "room"], ["next", bob, "whisper"]]
    given = await at.call("counters", [*steps, ["again"], *steps])
    first, second = given[:4], given[5:]
    if [n for _, n in first] != [0, 1, 0, 0]:
        return f"The first counters for Bob, Bob, Carol, and a whisper to Bob are {first}; n is to be 0, 1, 0, 0."
    if not all(second[i][0] > first[i][0] for i in range(4)):
        return f"Before a restart the session was {first[0][0]}, after it {second[0][0]}: old counters come again."
    return ""


async def _answers(at: Asking, call: str, table: list[tuple[list[Any], object, str]]) -> str:
    """The first row that is answered otherwise."""
    answers = await at.call(call, [step for step, _, _ in table])
    if not isinstance(answers, list) or len(answers) != len(table):
        raise Trouble(f"Your code answered {str(answers)[:100]}.")
    for (step, expected, what), answer in zip(table, answers, strict=True):
        if answer != expected or type(answer) is not type(expected):
            return f"{what[0].upper()}{what[1:]}: {step[0]} answers {answer!r}, and not {expected!r}."
    return ""
