"""Being taken for the server, with a certificate that is not the server's.

python -m attacks.rogue_certificate --stage 4 --levers verify=none
"""

from attacks import Claim, Foothold, Goal, attack
from attacks.on_path import Splice, on_path
from attacks.terminate import answering_with, terminating
from common.loopback import Intercepted


@attack(
    position="on-path",
    goals=(
        Goal(
            "server",
            "be taken for the server",
            wins="taken-for-server",
            expected="---HH",
            absent="there are no certificates here: whoever answers is taken for the server",
            cases={
                "self-signed": "verify=none",
                "unknown-ca": "verify=none",
                "wrong-name": "verify=no-hostname",
                "expired": "verify=none",
                "not-yet-valid": "verify=none",
                "non-ca-issuer": "verify=none",
                "client-certificate": "verify=none",
                "weak-key": "verify=none",
            },
            what_ifs={4: {"verify=no-hostname": "HHBHHHHH", "verify=none": "BBBBBBBB"}},
        ),
    ),
)
async def rogue_certificate(foothold: Foothold, goal: Goal) -> Claim:
    """TLS is worth as much as the client's look at the certificate. Mallory is between the clients and the server, and
    answers with a certificate that is nearly right: for the right name but signed by herself, or by the right authority
    but for her own name, or expired, or meant for something else. A client that leaves out one look tells her its
    password.
    """
    claim = Claim(did="answered every client with the certificate of this case")

    def read(line: bytes) -> list[bytes]:
        claim.read.append(line.decode(errors="replace"))
        return [line]

    async def carry(intercepted: Intercepted) -> None:
        await Splice(intercepted, read).run()

    async with on_path(foothold, terminating(carry, foothold.note, lambda: answering_with(foothold.certificate))):
        await foothold.until("over")
    return claim


if __name__ == "__main__":
    from lab.attack_main import main

    main("rogue_certificate")
