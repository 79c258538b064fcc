"""`cipher=…`: other ways to seal a text, from worst to equally good.

off: the text itself, in a field called ciphertext.
aes-256-ecb: every block for itself, so equal texts have equal ciphertexts, and blocks can be moved; nothing is
    authenticated, and what is written on the message is not bound to it.
aes-256-ctr: hides equal texts, but whoever flips a bit of the ciphertext flips that bit of the text, unnoticed.
chacha20-poly1305: an equal choice (RFC 8439), authenticated like AES-256-GCM.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

from ..room_key import NONCE_BYTES, Cipher, NotOpened

BLOCK_BITS: Final = 128


class Off:
    """No encryption."""

    def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
        return b"", text

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        return ciphertext


class AesEcb:
    """Each block for itself."""

    def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
        padder, encryptor = PKCS7(BLOCK_BITS).padder(), BlockCipher(AES(key), modes.ECB()).encryptor()
        return b"", encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        decryptor, unpadder = BlockCipher(AES(key), modes.ECB()).decryptor(), PKCS7(BLOCK_BITS).unpadder()
        try:
            return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
        except ValueError:
            raise NotOpened from None


class AesCtr:
    """A key stream, and no authentication."""

    def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
        nonce = os.urandom(BLOCK_BITS // 8)
        return nonce, BlockCipher(AES(key), modes.CTR(nonce)).encryptor().update(text)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        try:
            return BlockCipher(AES(key), modes.CTR(nonce)).decryptor().update(ciphertext)
        except ValueError:
            raise NotOpened from None


class ChaCha:
    """As good as the default."""

    def seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
        nonce = os.urandom(NONCE_BYTES)
        return nonce, ChaCha20Poly1305(key).encrypt(nonce, text, associated_data)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        try:
            return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, associated_data)
        except (InvalidTag, ValueError):
            raise NotOpened from None


WAYS: Final[dict[str, Cipher]] = {
    "chacha20-poly1305": ChaCha(),
    "aes-256-ctr": AesCtr(),
    "aes-256-ecb": AesEcb(),
    "off": Off(),
}
