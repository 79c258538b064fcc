"""Opening yesterday's recording with the server's TLS key.

python -m attacks.stolen_server_key --stage 4 --levers transport=tls-1.2-static-rsa
"""

from pathlib import Path

from attacks import Claim, Foothold, Goal, attack
from attacks.tap import frames


@attack(
    position="thief",
    taps=True,
    goals=(
        Goal(
            "password",
            "learn a password from yesterday's recording",
            wins="read-password",
            expected="---HH",
            absent="the server has no TLS key that could be stolen",
            ablation="transport=tls-1.2-static-rsa",
        ),
    ),
)
async def stolen_server_key(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory records what goes by, and cannot read it. Much later she gets hold of the server's files, with the key of
    its certificate. In older versions of TLS that key could open everything that was ever recorded. In TLS 1.3
    the key only signs; what encrypts comes from numbers that both sides have long forgotten.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from attacks import static_rsa

    recorded: list[bytes] = []
    with frames(foothold, recorded.append):
        await foothold.until("over")
    keys = {file.name: load_pem_private_key(file.read_bytes(), None) for file in _key_files(foothold.loot.folder)}
    connections = list(static_rsa.streams(recorded, foothold.server[1]))
    said = [
        static_rsa.opened(*connection, key)
        for key in keys.values()
        if isinstance(key, RSAPrivateKey)
        for connection in connections
    ]
    return Claim(
        read=[line.decode(errors="replace") for words in said for line in words.splitlines()],
        did=f"tried {', '.join(keys) or 'no key'} on {len(connections)} recorded connections, and opened "
        f"{sum(map(bool, said))}",
    )


def _key_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.key"))


if __name__ == "__main__":
    from lab.attack_main import main

    main("stolen_server_key")
