"""Learning who has an account.

python -m attacks.enumerate_users --stage 2
"""

import asyncio

from attacks import TRIALS, Claim, Foothold, Goal, attack
from common.session import Show


@attack(
    position="outsider",
    goals=(
        Goal(
            "accounts",
            "learn whether a name has an account",
            wins="guessed",
            expected="-BBBB",
            absent="nobody has an account here",
            trial="an-account",
        ),
    ),
)
async def enumerate_users(foothold: Foothold, goal: Goal) -> Claim:
    """Logging in tells Mallory nothing: a wrong password and an unknown name get the same answer after the same work.
    So she does not log in. She tries to make an account under the name that she is curious about; where that is
    refused, somebody has it. As long as people choose their own names, a taken one must be refused.
    """
    claim = Claim(did="tried to make accounts under the names in question")
    await foothold.until("talking")
    for _ in range(TRIALS):
        name = await foothold.trial()
        taken = await _is_taken(foothold, name)
        foothold.note(f"{name} {'has an account' if taken else 'had no account'}")
        claim.guesses.append(int(taken))
    return claim


async def _is_taken(foothold: Foothold, name: str) -> bool:
    """Try to make an account; is it refused?"""
    answer: asyncio.Future[Show] = asyncio.get_running_loop().create_future()

    def look(show: Show) -> None:
        if not answer.done():
            answer.set_result(show)

    client = await foothold.enter(name, look, register=True)
    first = await answer
    client.close()
    await client.ended.wait()
    return first.kind == "alarm"


if __name__ == "__main__":
    from lab.attack_main import main

    main("enumerate_users")
