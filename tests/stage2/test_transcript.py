"""Stage 2's conversation is the one that was frozen, and so is the way in which a password is stored."""

import base64
from pathlib import Path

from nacl.pwhash import argon2id

from stages.stage2_hashed_auth.accounts import Argon2id
from tests.stage2.transcript import stored_in, transcript
from tests.transcripts import assert_frozen

SALT = bytes(range(16))
KNOWN = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$gFj/LQIVsOeDNEQBhTgjxqMkXayaJB6fMEWnVG21dOc"
"""`sesame` under that salt."""


def written(salt: bytes, password: bytes) -> str:
    """An Argon2id hash as it is stored (RFC 9106; the form of the reference implementation), worked out anew."""
    digest = argon2id.kdf(32, password, salt, opslimit=2, memlimit=19456 * 1024)
    parts = [base64.b64encode(part).rstrip(b"=").decode() for part in (salt, digest)]
    return f"$argon2id$v=19$m=19456,t=2,p=1${parts[0]}${parts[1]}"


def test_every_message_effect_and_line_of_a_conversation_is_the_one_that_was_frozen(tmp_path: Path) -> None:
    assert_frozen(2, transcript(tmp_path))


def test_what_is_stored_is_the_hash_of_the_password_under_its_own_salt(tmp_path: Path) -> None:
    transcript(tmp_path)
    salts = set()
    for _, stored in stored_in(tmp_path / "accounts.sqlite"):
        salt = base64.b64decode(stored.decode().split("$")[4] + "==")
        salts.add(salt)
        assert stored.decode() == written(salt, b"sesame")
    assert len(salts) == 3


def test_known_hash_under_a_known_salt_is_the_passwords_and_no_others() -> None:
    assert written(SALT, b"sesame") == KNOWN
    assert Argon2id().verify(KNOWN.encode(), b"sesame")
    assert not Argon2id().verify(KNOWN.encode(), b"sesame ")
