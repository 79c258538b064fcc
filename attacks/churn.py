"""A member who comes and goes without end.

python -m attacks.churn --stage 2
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.floods import carol, fill_the_queue
from common.session import Send
from common.wire import encode


@attack(
    position="insider",
    family="dos",
    goals=(
        Goal(
            "logins",
            "make everybody who logs in wait behind a member who does nothing else",
            "starved",
            "-HHHH",
            ablation="limits=off",
            absent="to come in costs a server without passwords so little that one member cannot make it scarce",
        ),
    ),
)
async def churn(foothold: Foothold, goal: Goal) -> Claim:
    """Carol has an account, and her password is right. She logs in and leaves, and again, as fast as her machine can,
    mostly without waiting to be let in. No rule about guesses applies to her. Each time the server hashes; and where it
    gets so far, it ends her other session, and tells the room that she left and that she came.
    """
    await foothold.until("talking")
    client = await carol(foothold)
    (login,) = (encode(effect.message) for effect in client.session.connected() if isinstance(effect, Send))
    came = await fill_the_queue(foothold, login)
    return Claim(did=f"logged in {came} times, and left")


if __name__ == "__main__":
    from lab.attack_main import main

    main("churn")
