"""The probes of stage 2: how passwords are stored, and what the server tells those who guess."""

import re
import secrets
import statistics
import time
from typing import Final

from lab.exercise.probes import Asking, probe
from lab.exercise.program import Trouble
from stages.stage2_hashed_auth.accounts import MEMORY_BYTES, PASSES, Argon2id

FORM: Final = re.compile(rb"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$")
TRIES: Final = 5
FASTER: Final = 0.5
"""An answer for an unknown name that comes in less than this part of the time tells that nothing was hashed."""


async def stored(at: Asking, password: str) -> bytes:
    """What the learner stores for a password."""
    return bytes.fromhex(str(await at.call("hashed", password)))


@probe
async def password_is_not_stored(at: Asking) -> str:
    """The password is not in what is stored."""
    password = secrets.token_urlsafe(12)
    if password.encode() in await stored(at, password):
        return "The password itself stands in what is stored."
    return ""


@probe
async def salts_differ(at: Asking) -> str:
    """The same password gives another text each time."""
    password = secrets.token_urlsafe(12)
    if await stored(at, password) == await stored(at, password):
        return "Two accounts with the same password have the same in the database: there is no salt, or one for all."
    return ""


@probe
async def memory_hard(at: Asking) -> str:
    """Argon2id, with at least the parameters that the docstring names."""
    text = await stored(at, secrets.token_urlsafe(12))
    form = FORM.match(text)
    if form is None:
        return f"What is stored begins “{text[:24]!r}”, and not with $argon2id$v=19$m=…,t=…,p=…$."
    memory, passes = int(form[1]) * 1024, int(form[2])
    if memory < MEMORY_BYTES or passes < PASSES:
        return f"Each guess costs {memory >> 20} MiB and {passes} passes; at least {MEMORY_BYTES >> 20} and {PASSES}."
    return ""


@probe
async def hashes_agree(at: Asking) -> str:
    """The learner and the reference verify what the other stored."""
    password, other = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    mine = await stored(at, password)
    if not Argon2id().verify(mine, password.encode()):
        return "The reference cannot verify what Argon2id.hash stored."
    theirs = Argon2id().hash(password.encode()).hex()
    if await at.call("verified", theirs, password) is not True:
        return "Argon2id.verify says no to the right password."
    if await at.call("verified", theirs, other) is not False:
        return "Argon2id.verify says yes to a wrong password."
    return ""


@probe
async def accounts_are_kept(at: Asking) -> str:
    """What the accounts answer, one question after the other."""
    right, wrong = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    table: list[tuple[list[str], object, str]] = [
        (["register", "alice", right], True, "making an account"),
        (["register", "alice", wrong], False, "making an account that there is already"),
        (["register", "a1ice", wrong], False, "making an account whose name looks like alice's"),
        (["verify", "alice", right], True, "the right password"),
        (["verify", "alice", wrong], False, "a wrong password"),
        (["verify", "nobody", right], False, "an unknown name"),
        (["has", "alice"], True, "is there an alice?"),
        (["has", "nobody"], False, "is there a nobody?"),
        (["remove", "alice"], True, "taking the account away"),
        (["verify", "alice", right], False, "the right password of an account that is gone"),
    ]
    answers = await at.call("accounts", [step for step, _, _ in table])
    for (step, expected, what), answer in zip(table, answers, strict=True):
        if answer is not expected:
            return f"{what[0].upper()}{what[1:]}: {step[0]}({step[1]!r}, …) answers {answer!r}, and not {expected}."
    return ""


def _login(name: str) -> dict[str, object]:
    return {"type": "login", "name": name, "password": secrets.token_urlsafe(12), "udp_port": 4000}


async def _account(at: Asking) -> str:
    """An account that was just made; who has it is still inside."""
    name = f"user-{secrets.token_hex(4)}"
    answer = await at.asked({**_login(name), "type": "register"})
    if answer.get("type") != "roster":
        raise Trouble(f"Your server answered a `register` under a free name with {str(answer)[:200]}.")
    return name


@probe
async def one_answer(at: Asking) -> str:
    """A wrong password and an unknown name are answered alike."""
    async with at.server():
        name = await _account(at)
        wrong, unknown = await at.asked(_login(name)), await at.asked(_login(f"user-{secrets.token_hex(4)}"))
        if wrong.get("type") != "refused":
            return f"A login with a wrong password is answered with {str(wrong)[:200]}."
        if wrong != unknown:
            return f"A wrong password is answered {_said(wrong)}, an unknown name {_said(unknown)}."
    return ""


def _said(answer: dict[str, object]) -> str:
    return f"“{answer.get('code')}: {answer.get('reason')}”"


async def _seconds(at: Asking, name: str) -> float:
    began = time.perf_counter()
    await at.asked(_login(name))
    return time.perf_counter() - began


@probe
async def same_time(at: Asking) -> str:
    """… and after as long."""
    async with at.server():
        name = await _account(at)
        await at.asked(_login("nobody-yet"))  # what is made once is made now
        pairs = [(await _seconds(at, name), await _seconds(at, f"user-{secrets.token_hex(4)}")) for _ in range(TRIES)]
        wrong, unknown = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
        if unknown < FASTER * wrong:
            return f"A wrong password is refused after {wrong:.0f} ms, an unknown name after {unknown:.0f} ms."
    return ""
