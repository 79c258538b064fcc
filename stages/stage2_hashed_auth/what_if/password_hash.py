"""`password_hash=…`: other ways to store passwords, from worst to equally good.

plaintext: whoever reads the file has every password.
sha256: a guess costs a microsecond, and one pass over a list of guesses tries them against all accounts at once.
salted-sha256: a guess still costs a microsecond, but must be made for each account anew.
scrypt: an equal choice (RFC 7914), memory-hard like Argon2id; with OWASP's N=2^17, r=8, p=1.
"""

import hashlib
import hmac
import os
from typing import Final

from ..accounts import Hashing

SALT_BYTES: Final = 16


class Plaintext:
    """The password itself."""

    def hash(self, password: bytes) -> bytes:
        return password

    def verify(self, stored: bytes, password: bytes) -> bool:
        return hmac.compare_digest(stored, password)


class Sha256:
    """A fast hash, without salt."""

    def hash(self, password: bytes) -> bytes:
        return hashlib.sha256(password).digest()

    def verify(self, stored: bytes, password: bytes) -> bool:
        return hmac.compare_digest(stored, self.hash(password))


class SaltedSha256:
    """A fast hash, with a salt in front."""

    def hash(self, password: bytes) -> bytes:
        salt = os.urandom(SALT_BYTES)
        return salt + hashlib.sha256(salt + password).digest()

    def verify(self, stored: bytes, password: bytes) -> bool:
        salt, digest = stored[:SALT_BYTES], stored[SALT_BYTES:]
        return hmac.compare_digest(digest, hashlib.sha256(salt + password).digest())


class Scrypt:
    """Memory-hard, like the right way."""

    def hash(self, password: bytes) -> bytes:
        salt = os.urandom(SALT_BYTES)
        return salt + self._derive(salt, password)

    def verify(self, stored: bytes, password: bytes) -> bool:
        salt, derived = stored[:SALT_BYTES], stored[SALT_BYTES:]
        return hmac.compare_digest(derived, self._derive(salt, password))

    def _derive(self, salt: bytes, password: bytes) -> bytes:
        return hashlib.scrypt(password, salt=salt, n=2**17, r=8, p=1, maxmem=256 * 1024 * 1024)


WAYS: Final[dict[str, type[Hashing]]] = {
    "plaintext": Plaintext,
    "sha256": Sha256,
    "salted-sha256": SaltedSha256,
    "scrypt": Scrypt,
}
