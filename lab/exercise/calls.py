"""Single functions of the learner's, called as the bench asks, with what they return handed back as it is.

Nothing is compared here: this runs beside the learner's code. What goes in and what comes out is JSON, bytes as
hexadecimal digits, a message as it would be on the wire.
"""

import contextlib
import importlib
import io
import random
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from common.errors import LabError
from common.levers import Levers
from common.session import Close, Datagram, Later, Person, Send, Show
from lab.exercise import lines

At = Callable[[str], Any]
"""A module of the learner's, by its name."""
FORESEEN: Final = ("NotOpened", "LabError")
"""Errors that belong to the protocol; any other one is a fault."""
PRINTED: Final = 2000
"""How many characters of what was printed are handed back."""


def answer(package: str, order: lines.Call) -> lines.Returned:
    """Call it. Whatever it raises that is not foreseen goes through."""
    _import_anew(package)

    def at(module: str) -> Any:
        return importlib.import_module(f"{package}.{module}")

    try:
        return lines.Returned(_plain(CALLS[order.name](at, *order.arguments)))
    except Exception as error:
        for kind in type(error).__mro__:  # a kind of NotOpened is one
            if kind.__name__ in FORESEEN:
                return lines.Returned(raised=kind.__name__)
        raise


@cache
def _import_anew(package: str) -> None:
    """Once in each program. It was forked after the import, and a program of one's own would not share with others what
    its modules make when they are imported: a prefix of nonces, a key."""
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return value.hex() if isinstance(value, bytes) else msgspec.to_builtins(value)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir="."))


def client(at: At, name: str, steps: list[list[Any]]) -> list[list[Any]]:
    """A client session, told one thing after the other: the effects that each step had; what it printed meanwhile
    counts as one of the last step's."""
    compose = at("compose")
    person = Person(name, 4000, "a password", folder=_folder() / name)
    (person.folder or Path()).mkdir()
    session = compose.client(Levers({}, compose.LEVERS), person)
    done, printed = list[list[Any]](), io.StringIO()
    for step, *given in steps:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            effects = _taken(session, step, given)
        done.append([_effect(effect) for effect in effects or []])
    if text := printed.getvalue():
        print(text)
        done[-1].append({"printed": text[:PRINTED]})
    return done


def _taken(session: Any, step: str, given: list[Any]) -> Any:
    match step:
        case "received":
            return session.received(msgspec.convert(given[0], session.accepts))
        case "datagram":
            return session.datagram(msgspec.convert(given[0], session.whispers), (given[1][0], given[1][1]))
        case _:
            return getattr(session, step)(*given)


def _effect(effect: Any) -> Any:
    match effect:
        case Show(kind=kind, text=text, sender=sender):
            return {"show": kind, "text": text, "from": sender}
        case Datagram(message=message, to=to):
            return {"datagram": msgspec.to_builtins(message), "to": list(to)}
        case Send(message=message):
            return {"send": msgspec.to_builtins(message)}
        case Close():
            return {"close": True}
        case Later():
            return {"later": effect.seconds}
    raise LabError(f"{type(effect).__name__} is no effect of a client's")


def hashed(at: At, password: str) -> bytes:
    """Argon2id.hash, of a password in UTF-8."""
    stored: bytes = at("accounts").Argon2id().hash(password.encode())
    return stored


def verified(at: At, stored: str, password: str) -> Any:
    """Argon2id.verify."""
    return at("accounts").Argon2id().verify(bytes.fromhex(stored), password.encode())


def accounts(at: At, steps: list[list[str]]) -> list[Any]:
    """Accounts in a fresh file: what each step returned."""
    module = at("accounts")
    made = module.Accounts(_folder() / "accounts.sqlite", module.Argon2id())
    return [getattr(made, step)(*arguments) for step, *arguments in steps]


def _room_key(at: At, key: str) -> Any:
    module = at("room_key")
    return module.RoomKey(bytes.fromhex(key), module.Ciphers())


def room_key_seal(at: At, key: str, kind: str, sender: str, to: str | None, counter: list[int], text: str) -> Any:
    """RoomKey.seal."""
    return _room_key(at, key).seal(kind, sender, to, tuple(counter), text)


def room_key_open(at: At, key: str, message: Any) -> str:
    """RoomKey.open."""
    module = at("room_key")
    opened: str = _room_key(at, key).open(msgspec.convert(message, module.Say | module.Whisper))
    return opened


def room_key_fresh(at: At) -> bytes:
    """The key of RoomKey.fresh."""
    module = at("room_key")
    key: bytes = module.RoomKey.fresh(module.Ciphers()).key
    return key


def room_key_seeded(at: At, seed: str) -> bytes:
    """The same, after `random` was made to begin at this."""
    random.seed(seed)
    return room_key_fresh(at)


def room_key_canonical(at: At, parts: list[str | int]) -> bytes:
    """canonical."""
    made: bytes = at("room_key").canonical(*parts)
    return made


def room_key_derive(at: At, secret: str, purpose: str, binding: list[str | int]) -> bytes:
    """derive."""
    key: bytes = at("room_key").derive(bytes.fromhex(secret), purpose, *binding)
    return key


def room_key_wrap(at: At, grant: Any, to: str, sender: str, request: Any) -> Any:
    """wrap."""
    module = at("room_key")
    return module.wrap(msgspec.convert(grant, module.Grant), to, sender, msgspec.convert(request, module.KeyRequest))


def room_key_unwrap(at: At, own: str, grant: Any) -> Any:
    """unwrap."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    module = at("room_key")
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(own))
    return module.unwrap(private, msgspec.convert(grant, module.KeyGrant))


def _peer(at: At, own: str, peer: str) -> Any:
    from nacl.public import PrivateKey

    return at("box").PeerBox(PrivateKey(bytes.fromhex(own)), bytes.fromhex(peer))


def box_seal(at: At, own: str, peer: str, content: Any) -> Any:
    """seal_for a peer."""
    module = at("box")
    return module.seal_for(_peer(at, own, peer), module.NoPadding(), msgspec.convert(content, module.Content))


def box_open(at: At, own: str, peer: str, message: Any) -> Any:
    """open_from a peer."""
    module = at("box")
    sealed = msgspec.convert(message, module.Say | module.Whisper)
    return module.open_from(_peer(at, own, peer), module.NoPadding(), sealed)


def box_safety_number(at: At, members: list[list[str]]) -> Any:
    """safety_number, over names and keys in the order given."""
    return at("box").safety_number(*((name, bytes.fromhex(key)) for name, key in members))


def pins(at: At, steps: list[list[Any]]) -> list[Any]:
    """Pins in a fresh file, told one thing after the other; `again` loads them from the file anew."""
    module, file = at("pins"), _folder() / "pins.json"
    made, done = module.Pins(file), list[Any]()
    for step, *arguments in steps:
        if step == "again":
            made = module.Pins(file)
            done.append(None)
        else:
            done.append(getattr(made, step)(arguments[0], bytes.fromhex(arguments[1])))
    return done


def counters(at: At, steps: list[list[Any]]) -> list[Any]:
    """Counters in a fresh folder, told one thing after the other; `again` is another start in the same folder."""
    module, folder, own = at("counters"), _folder(), bytes(32)
    made, done = module.Counters(folder, own), list[Any]()
    for step, *arguments in steps:
        if step == "again":
            made = module.Counters(folder, own)
            done.append(None)
        elif step == "next":
            done.append(made.next(bytes.fromhex(arguments[0]), arguments[1]))
        else:
            done.append(made.accept(bytes.fromhex(arguments[0]), arguments[1], tuple(arguments[2])))
    return done


CALLS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        *(client, hashed, verified, accounts),
        *(room_key_canonical, room_key_derive, room_key_fresh, room_key_seeded),
        *(room_key_seal, room_key_open, room_key_wrap, room_key_unwrap),
        *(box_seal, box_open, box_safety_number, pins, counters),
    )
}
