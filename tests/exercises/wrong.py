"""Wrong solutions that students really write, each as a small change to the reference, and what must be said of it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Wrong:
    """One wrong solution.

    edits: (file, text of the reference, what stands there instead).
    fails: the requirement that it must not meet, and `says`, what the observation must say: the right reason.
    passes: requirements that it meets all the same.
    hint: what the hint says, where it is not the requirement's own.
    """

    stage: int
    name: str
    edits: tuple[tuple[str, str, str], ...]
    fails: str
    says: str
    passes: tuple[str, ...] = ()
    hint: str = ""


WHISPER: Final = (
    "return [Datagram(Whisper(sender=self.name, to=to, text=self.seal(text)), (peer.address, peer.udp_port))]"
)
SHOW: Final = 'return [Show("whisper", self.open(message.text), sender=message.sender)]'
HASH: Final = (
    'return bytes(argon2id.str(password, opslimit=PASSES, memlimit=MEMORY_BYTES)).rstrip(b"\\0")',
    "return bool(argon2id.verify(stored, password))",
)
ENCRYPT: Final = "return nonce, AESGCM(key).encrypt(nonce, text, associated_data)"
DECRYPT: Final = "return AESGCM(key).decrypt(nonce, ciphertext, associated_data)"
GCM_SEALED: Final = "        return nonce, AESGCM(key)"
GCM_NONCE: Final = "nonce = os.urandom(NONCE_BYTES)\n" + GCM_SEALED
OPEN_REFUSES: Final = "except (InvalidTag, ValueError):\n            raise NotOpened from None\n\n\nclass Padding"
SAME_MEANING: Final = (
    'if (content.sender, content.to, content.kind == "whisper") != (sealed.sender, sealed.to, whispered):'
)
CLIENT_TLS: Final = (
    "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain, the dates, serverAuth and the name"
)
SERVER_TLS: Final = (
    "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n    context.minimum_version = ssl.TLSVersion.TLSv1_3"
)


CHANGED: Final = "alarm(\n                        f\"{member.name.upper()}'S KEY HAS CHANGED"
OPPORTUNISTIC: Final = (
    "    from .what_if.starttls_opportunistic import OpportunisticClient\n\n        return OpportunisticClient\n"
)


def _hash(made: str, same: str, imports: str = "import hashlib\n") -> tuple[tuple[str, str, str], ...]:
    """Another way of storing passwords."""
    return (
        ("accounts.py", "import contextlib\n", f"import contextlib\n{imports}"),
        ("accounts.py", HASH[0], f"return {made}"),
        ("accounts.py", HASH[1], f"return {same}"),
    )


WRONG: Final = (
    Wrong(
        1,
        "whisper_through_the_server",
        (("client.py", WHISPER, "return [Send(Say(sender=self.name, to=to, text=self.seal(text)))]"),),
        "peer-to-peer",
        "was sent to the server",
        ("reachable", "strangers-dropped"),
    ),
    Wrong(
        1,
        "reply_to_the_source",
        (
            (
                "client.py",
                SHOW,
                "self.roster[message.sender] = Presence(\n"
                "            name=message.sender, address=source[0], udp_port=source[1]\n        )\n        " + SHOW,
            ),
        ),
        "roster-not-source",
        "went to 10.13.37.99",
        ("works", "peer-to-peer"),
    ),
    Wrong(
        1,
        "whisper_from_anyone",
        (("client.py", "if message.sender not in self.roster:", "if not message.sender:"),),
        "strangers-dropped",
        "from Dave",
        ("works", "shown"),
    ),
    Wrong(
        1,
        "whisper_for_anyone",
        (("client.py", "if message.to != self.name:", "if not message.to:"),),
        "strangers-dropped",
        "addressed to Carol",
        ("works",),
    ),
    Wrong(
        1,
        "nobody_is_a_key_error",
        (
            (
                "client.py",
                "if to not in self.roster:\n"
                '            return [notice(f"{to} is not here; /who shows who is")]\n        ',
                "",
            ),
        ),
        "nobody-there",
        "KeyError in ClientSession.whisper",
        ("works", "peer-to-peer"),
    ),
    Wrong(
        1,
        "tcp_port_for_whispers",
        (("client.py", "Join(name=self.name, udp_port=self.udp_port)", "Join(name=self.name, udp_port=5001)"),),
        "reachable",
        "5001",
        ("nobody-there",),
    ),
    Wrong(
        2,
        "plain_sha256",
        _hash("hashlib.sha256(password).digest()", "stored == hashlib.sha256(password).digest()"),
        "passwords-hashed",
        "crack_passwords",
        ("works", "one-answer"),
    ),
    Wrong(
        2,
        "one_salt_for_all",
        _hash(
            "hashlib.scrypt(password, salt=b'pepper', n=2**12, r=8, p=1)",
            "stored == hashlib.scrypt(password, salt=b'pepper', n=2**12, r=8, p=1)",
        ),
        "salted",
        "there is no salt, or one for all",
        ("works", "name-needs-password"),
    ),
    Wrong(
        2,
        "salted_sha256",
        _hash(
            "(salt := os.urandom(16)) + hashlib.sha256(salt + password).digest()",
            "stored[16:] == hashlib.sha256(stored[:16] + password).digest()",
        ),
        "memory-hard",
        "not with $argon2id$",
        ("works", "salted"),
    ),
    Wrong(
        2,
        "plaintext_compared",
        _hash("password", "stored == password", ""),
        "passwords-hashed",
        "crack_passwords/weak: the attacker found Bob's password",
        ("works", "sender-from-session"),
    ),
    Wrong(
        2,
        "sender_from_the_message",
        (("server.py", "return replace(message, sender=str(self.name))", "return message"),),
        "sender-from-session",
        "member_forges/room",
        ("works", "salted"),
    ),
    Wrong(
        2,
        "unknown_name_told",
        (
            (
                "server.py",
                'return refuse(self, "wrong-password", "The name or the password is not right.")',
                "if not self.accounts.has(message.name):\n"
                '            return refuse(self, "no-such-account", "There is no such account.")\n'
                '        return refuse(self, "wrong-password", "The password is wrong.")',
            ),
        ),
        "one-answer",
        "no-such-account",
        ("works",),
    ),
    Wrong(
        2,
        "unknown_name_not_hashed",
        (
            (
                "accounts.py",
                "right = self.hashing.verify(row[0] if row else self._nobody, _normal(password))",
                "if row is None:\n            return False\n"
                "        right = self.hashing.verify(row[0], _normal(password))",
            ),
        ),
        "same-time",
        "an unknown name after",
        ("works", "one-answer"),
    ),
    Wrong(
        2,
        "account_is_enough",
        (("accounts.py", "return right and row is not None", "return row is not None"),),
        "name-needs-password",
        "impersonation/room",
        ("works", "memory-hard"),
    ),
    Wrong(
        3,
        "constant_nonce",
        (
            (
                "room_key.py",
                "nonce = os.urandom(NONCE_BYTES)\n        return nonce, AESGCM(key)",
                "nonce = bytes(NONCE_BYTES)\n        return nonce, AESGCM(key)",
            ),
        ),
        "nonce-fresh",
        "was used 40 times",
        ("works", "data-bound"),
    ),
    Wrong(
        3,
        "not_utf_8_is_let_through",
        (
            (
                "room_key.py",
                "        try:\n            return text.decode()\n        except UnicodeDecodeError:\n"
                "            raise NotOpened from None",
                "        return text.decode()",
            ),
        ),
        "tag-checked",
        "UnicodeDecodeError",
        ("works",),
    ),
    Wrong(
        3,
        "nonce_counts_from_zero",
        (
            (
                "room_key.py",
                "nonce = os.urandom(NONCE_BYTES)\n        return nonce, AESGCM(key)",
                "self.count = getattr(self, 'count', -1) + 1\n"
                "        nonce = self.count.to_bytes(NONCE_BYTES, 'big')\n        return nonce, AESGCM(key)",
            ),
        ),
        "nonce-fresh",
        "different nonces",
        ("works",),
    ),
    Wrong(
        3,
        "tag_not_checked",
        (
            (
                "room_key.py",
                DECRYPT,
                "decryptor = Cipher_(AES(key), GCM(nonce)).decryptor()\n"
                "            decryptor.authenticate_additional_data(associated_data)\n"
                "            return decryptor.update(ciphertext[:-16])",
            ),
            (
                "room_key.py",
                "from cryptography.hazmat.primitives.hashes import SHA256\n",
                "from cryptography.hazmat.primitives.ciphers import Cipher as Cipher_\n"
                "from cryptography.hazmat.primitives.ciphers.algorithms import AES\n"
                "from cryptography.hazmat.primitives.ciphers.modes import GCM\n"
                "from cryptography.hazmat.primitives.hashes import SHA256\n",
            ),
        ),
        "tag-checked",
        "tamper/room",
        ("works", "nonce-fresh"),
    ),
    Wrong(
        3,
        "invalid_tag_not_caught",
        (
            (
                "room_key.py",
                "except (InvalidTag, ValueError):\n            raise NotOpened from None\n\n\nclass Padding",
                "except ValueError:\n            raise NotOpened from None\n\n\nclass Padding",
            ),
        ),
        "tag-checked",
        "InvalidTag in AesGcm.open",
        ("works",),
    ),
    Wrong(
        3,
        "no_associated_data",
        (
            ("room_key.py", ENCRYPT, "return nonce, AESGCM(key).encrypt(nonce, text, None)"),
            ("room_key.py", DECRYPT, "return AESGCM(key).decrypt(nonce, ciphertext, None)"),
        ),
        "data-bound",
        "`to` was changed",
        ("key-per-sender", "key-wrapped", "names-bound"),
    ),
    Wrong(
        3,
        "one_key_for_all_senders",
        (
            (
                "room_key.py",
                'return derive(self.key, "message", sealed.room, sealed.kind, sealed.sender)',
                "return self.key",
            ),
        ),
        "key-per-sender",
        "under the room key itself",
        ("data-bound",),
    ),
    Wrong(
        3,
        "room_key_in_the_clear",
        (
            (
                "room_key.py",
                'ciphertext = AESGCM(wrapping).encrypt(nonce, msgspec.json.encode(grant), b"")',
                "ciphertext = msgspec.json.encode(grant)",
            ),
            (
                "room_key.py",
                'opened = AESGCM(wrapping).decrypt(answer.nonce, answer.ciphertext, b"")',
                "opened = answer.ciphertext",
            ),
        ),
        "key-wrapped",
        "in the clear",
        ("room-key-random", "data-bound"),
    ),
    Wrong(
        3,
        "names_left_out",
        (
            (
                "room_key.py",
                'return derive(secret, "room key", ROOM, newcomer, holder, ',
                'return derive(secret, "room key", ROOM, ',
            ),
        ),
        "names-bound",
        "“from”: “carol”",
        ("zero-secret-refused",),
    ),
    Wrong(
        3,
        "zero_secret_accepted",
        (
            (
                "room_key.py",
                "except ValueError:\n        raise NotOpened from None\n    return derive(secret",
                "except ValueError:\n        secret = bytes(32)\n    return derive(secret",
            ),
        ),
        "zero-secret-refused",
        "got the room key",
        ("works", "key-wrapped", "names-bound"),
    ),
    Wrong(
        3,
        "room_key_from_the_rooms_name",
        (("room_key.py", "return cls(os.urandom(KEY_BYTES), ciphers)", 'return cls(derive(b"", ROOM), ciphers)'),),
        "room-key-random",
        "the same key twice",
        ("works",),
    ),
    Wrong(
        4,
        "name_not_checked",
        (("tls.py", CLIENT_TLS, CLIENT_TLS + "\n    context.check_hostname = False"),),
        "name",
        "rogue_certificate/server/wrong-name",
        ("works", "chain"),
    ),
    Wrong(
        4,
        "nothing_checked",
        (
            (
                "tls.py",
                CLIENT_TLS,
                CLIENT_TLS + "\n    context.check_hostname = False\n    context.verify_mode = ssl.CERT_NONE",
            ),
        ),
        "chain",
        "rogue_certificate/server/",
        ("works",),
    ),
    Wrong(
        4,
        "nothing_checked_in_the_middle",
        (
            (
                "tls.py",
                CLIENT_TLS,
                CLIENT_TLS + "\n    context.check_hostname = False\n    context.verify_mode = ssl.CERT_NONE",
            ),
        ),
        "no-middle",
        "mitm/",
        ("works", "encrypted"),
    ),
    Wrong(
        4,
        "client_takes_tls_1_2",
        (("tls.py", CLIENT_TLS + "\n    context.minimum_version = ssl.TLSVersion.TLSv1_3", CLIENT_TLS),),
        "tls-1-3",
        "Your client sent its password to a server that speaks TLS 1.2",
        ("works", "name"),
    ),
    Wrong(
        4,
        "server_takes_tls_1_2",
        (("tls.py", SERVER_TLS, "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"),),
        "tls-1-3",
        "your server agrees on TLSv1.2",
        ("works",),
    ),
    Wrong(
        4,
        "falls_back_to_tcp",
        (
            (
                "compose.py",
                '    if levers["starttls"] == "opportunistic":\n    ' + OPPORTUNISTIC + "    return Client",
                OPPORTUNISTIC.replace("        return", "    return"),
            ),
        ),
        "encrypted",
        "tls_stripping/password",
        ("works",),
    ),
    Wrong(
        4,
        "systems_store_trusted",
        (("tls.py", CLIENT_TLS, "context = ssl.create_default_context()"),),
        "chain",
        "an authority that this machine trusts",
        ("works", "name"),
    ),
    Wrong(
        4,
        "weak_keys_taken",
        (("tls.py", "DEFAULT@SECLEVEL=2", "DEFAULT@SECLEVEL=0"),),
        "dates-and-purpose",
        "weak-key",
        ("works", "chain"),
    ),
    Wrong(
        5,
        "pin_overwritten",
        (("pins.py", 'return "changed"', 'self.pin(name, key)\n            return "changed"'),),
        "pinned",
        "key_substitution/after_pin",
        ("works", "boxes"),
    ),
    Wrong(
        5,
        "reflection_taken",
        (
            (
                "box.py",
                SAME_MEANING,
                "if {content.sender, content.to} != {sealed.sender, sealed.to} "
                "or (content.kind == 'whisper') != whispered:",
            ),
        ),
        "reflection",
        "came back to her in Bob's name",
        ("works", "sender-inside", "kind-inside"),
    ),
    Wrong(
        5,
        "sender_from_outside",
        (("box.py", SAME_MEANING, 'if (content.to, content.kind == "whisper") != (sealed.to, whispered):'),),
        "sender-inside",
        "the name outside was believed",
        ("works", "kind-inside"),
    ),
    Wrong(
        5,
        "any_kind_taken",
        (("box.py", SAME_MEANING, "if (content.sender, content.to) != (sealed.sender, sealed.to):"),),
        "kind-inside",
        "opened as a whisper",
        ("works", "reflection"),
    ),
    Wrong(
        5,
        "counter_not_checked",
        (
            (
                "counters.py",
                "last, window = self.seen.get(at, ((0, -1), 0))\n",
                "return 0\n        last, window = self.seen.get(at, ((0, -1), 0))\n",
            ),
        ),
        "no-replay",
        "replay",
        ("works", "counters-unique"),
    ),
    Wrong(
        5,
        "counters_forgotten_at_a_restart",
        (("counters.py", "write_checked(self.file, msgspec.json.encode(self.seen))", "pass"),),
        "no-replay",
        "",
        ("works",),
    ),
    Wrong(
        5,
        "one_counter_for_all",
        (("counters.py", 'at = f"{peer.hex()} {kind}"\n        n = self', 'at = "all"\n        n = self'),),
        "counters-unique",
        "n is to be 0, 1, 0, 0",
        ("safety-number",),
    ),
    Wrong(
        5,
        "safety_number_one_sided",
        (("box.py", "for n, k in sorted(members)", "for n, k in members"),),
        "safety-number",
        "One side sees",
        ("works", "pinned"),
    ),
    Wrong(
        5,
        "changed_keys_still_used",
        (("pins.py", "return self.is_pinned(name, key)\n\n    def why_not", "return True\n\n    def why_not"),),
        "pinned",
        "key_substitution/after_pin",
        ("works", "boxes"),
    ),
    Wrong(
        1,
        "address_of_the_first_meeting",
        (
            ("client.py", "peer = self.roster[to]\n", "peer = self.met.setdefault(to, self.roster[to])\n"),
            (
                "client.py",
                "self.udp_port = udp_port\n",
                "self.udp_port = udp_port\n        self.met: dict[str, Presence] = {}\n",
            ),
        ),
        "roster-not-source",
        "came again, at another port",
        ("works", "peer-to-peer", "nobody-there"),
    ),
    Wrong(
        1,
        "nobody_is_silence",
        (("client.py", 'return [notice(f"{to} is not here; /who shows who is")]', "return []"),),
        "nobody-there",
        "screen says nothing",
        ("works", "peer-to-peer"),
    ),
    Wrong(
        1,
        "whispers_are_printed_too",
        (("client.py", SHOW, 'print(f"{message.sender} whispers: {message.text}")\n        ' + SHOW),),
        "held",
        "prints a whisper as it came",
        ("works", "shown"),
    ),
    Wrong(
        2,
        "least_parameters",
        (("accounts.py", "opslimit=PASSES, memlimit=MEMORY_BYTES", "opslimit=1, memlimit=8192"),),
        "memory-hard",
        "each guess costs 0 MiB and 1 passes",
        ("works", "salted"),
    ),
    Wrong(
        2,
        "any_password",
        (
            (
                "accounts.py",
                "        except CryptoError:\n            return False",
                "        except CryptoError:\n            pass\n        return True",
            ),
        ),
        "name-needs-password",
        "impersonation/room",
        ("works", "salted"),
    ),
    Wrong(
        2,
        "registering_again_replaces",
        (("accounts.py", "INSERT OR IGNORE", "INSERT OR REPLACE"),),
        "name-needs-password",
        "an account that there is already",
        ("works", "memory-hard"),
    ),
    Wrong(
        2,
        "removed_account_stays",
        (("server.py", "        self.accounts.remove(name)\n", ""),),
        "name-needs-password",
        "After Server.remove",
        ("works", "one-session"),
    ),
    Wrong(
        2,
        "older_session_stays",
        (
            (
                "server.py",
                "return [*self.replace_older(message.name), *self.enter(message)]",
                "return self.enter(message)",
            ),
        ),
        "one-session",
        "was not refused with `replaced`",
        ("works", "sender-from-session"),
    ),
    Wrong(
        2,
        "to_one_member_as_it_came",
        (("server.py", "return [Send(said, [recipient])]", "return [Send(message, [recipient])]"),),
        "sender-from-session",
        "to one member as alice-",
        ("works", "one-session"),
    ),
    Wrong(
        3,
        "nonce_from_the_text",
        (
            (
                "room_key.py",
                GCM_NONCE,
                'nonce = __import__("hashlib").sha256(text).digest()[:NONCE_BYTES]\n' + GCM_SEALED,
            ),
        ),
        "nonce-fresh",
        "was used 40 times",
        ("works", "agrees"),
    ),
    Wrong(
        3,
        "short_nonce_not_foreseen",
        (("room_key.py", OPEN_REFUSES, OPEN_REFUSES.replace("(InvalidTag, ValueError)", "InvalidTag")),),
        "tag-checked",
        "ValueError in AesGcm.open",
        ("works", "agrees"),
        "catch ValueError, too",
    ),
    Wrong(
        3,
        "short_nonce_not_foreseen_in_an_attack",
        (("room_key.py", OPEN_REFUSES, OPEN_REFUSES.replace("(InvalidTag, ValueError)", "InvalidTag")),),
        "members-keep-names",
        "ValueError in AesGcm.open",
        ("works",),
        "Whoever can send to you decides what AesGcm.open is given",
    ),
    Wrong(
        3,
        "associated_data_left_out_in_seal",
        (("room_key.py", "padded, blank.associated_data())", 'padded, b"")'),),
        "data-bound",
        "it was sealed without its associated data",
        ("key-per-sender", "key-wrapped"),
    ),
    Wrong(
        3,
        "counter_not_bound",
        (
            (
                "room_key.py",
                "self._message_key(blank), padded, blank.associated_data())",
                "self._message_key(blank), padded, self._bound(blank))",
            ),
            (
                "room_key.py",
                "sealed.nonce, sealed.ciphertext, sealed.associated_data())",
                "sealed.nonce, sealed.ciphertext, self._bound(sealed))",
            ),
            (
                "room_key.py",
                "    def _message_key(",
                "    def _bound(self, sealed: Say | Whisper) -> bytes:\n"
                '        return canonical(sealed.version, sealed.kind, sealed.room, sealed.sender, sealed.to or "")\n\n'
                "    def _message_key(",
            ),
        ),
        "data-bound",
        "`counter` was changed",
        ("key-wrapped",),
    ),
    Wrong(
        3,
        "room_key_from_random",
        (
            (
                "room_key.py",
                "return cls(os.urandom(KEY_BYTES), ciphers)",
                'return cls(__import__("random").randbytes(KEY_BYTES), ciphers)',
            ),
        ),
        "room-key-random",
        "takes its key from `random`",
        ("works",),
    ),
    Wrong(
        3,
        "one_pair_for_all_grants",
        (
            (
                "room_key.py",
                "    own = X25519PrivateKey.generate()\n    public = own",
                "    own = _PAIR\n    public = own",
            ),
            ("room_key.py", "def wrap(", "_PAIR = X25519PrivateKey.generate()\n\n\ndef wrap("),
        ),
        "key-wrapped",
        "the same public key",
        ("works", "names-bound"),
    ),
    Wrong(
        3,
        "grant_not_looked_at",
        (("room_key.py", "except (InvalidTag, ValueError, msgspec.MsgspecError):", "except InvalidTag:"),),
        "key-wrapped",
        "in unwrap",
        ("works", "names-bound"),
    ),
    Wrong(
        3,
        "zero_secret_not_foreseen",
        (
            (
                "room_key.py",
                "    except ValueError:\n        raise NotOpened from None\n    return derive(",
                "    except TypeError:\n        raise NotOpened from None\n    return derive(",
            ),
        ),
        "zero-secret-refused",
        "ValueError in agree",
        ("works", "names-bound"),
    ),
    Wrong(
        3,
        "parts_with_a_bar_between",
        (("room_key.py", "return msgspec.json.encode(parts)", 'return "|".join(map(str, parts)).encode()'),),
        "derived",
        "canonical('user-",
        ("room-key-random", "zero-secret-refused"),
    ),
    Wrong(
        4,
        "protocol_tls_verifies_nothing",
        (("tls.py", CLIENT_TLS, "context = ssl.SSLContext(ssl.PROTOCOL_TLS)"),),
        "name",
        "rogue_certificate/server/wrong-name",
        ("works",),
    ),
    Wrong(
        4,
        "common_name_will_do",
        (("tls.py", "    context.hostname_checks_common_name = False\n", ""),),
        "name",
        "only the common name",
        ("works",),
    ),
    Wrong(
        4,
        "not_strict",
        (("tls.py", "    context.verify_flags |= ssl.VERIFY_X509_STRICT\n", ""),),
        "strict",
        "VERIFY_X509_STRICT",
        ("works",),
    ),
    Wrong(
        4,
        "authoritys_key_copied_for_renewals",
        (
            (
                "tls.py",
                "    certificate = load_certificate(context, folder)\n\n",
                "    certificate = load_certificate(context, folder)\n"
                '    write(folder / "authority.key", (authority / "ca.key").read_bytes(), 0o600)\n\n',
            ),
        ),
        "authority-apart",
        "as authority.key",
        ("works",),
    ),
    Wrong(
        4,
        "no_authority_no_tls",
        (
            (
                "compose.py",
                "    context = tls.client_context(person.ca or",
                '    if not (folder.parent / "ca" / "ca.pem").exists():\n        return None\n'
                "    context = tls.client_context(person.ca or",
            ),
        ),
        "no-authority",
        "without a ca.pem, your client sent its password in the clear",
        ("works", "authority-apart"),
    ),
    Wrong(
        4,
        "authority_that_is_none_not_foreseen",
        (("tls.py", "    except (OSError, ssl.SSLError) as error:\n", "    except FileExistsError as error:\n"),),
        "no-authority",
        "FileNotFoundError in client_context",
        ("works",),
    ),
    Wrong(
        4,
        "purpose_the_wrong_way_round",
        (("tls.py", CLIENT_TLS, "context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"),),
        "works",
        "PROTOCOL_TLS_SERVER",
    ),
    Wrong(
        5,
        "nonce_counts_from_zero",
        (
            (
                "box.py",
                "sealed = self._box.encrypt(plain)",
                "self.count = getattr(self, 'count', -1) + 1\n"
                "        sealed = self._box.encrypt(plain, self.count.to_bytes(NONCE_BYTES, 'big'))",
            ),
        ),
        "boxes",
        "different nonces",
        ("works", "reflection"),
    ),
    Wrong(
        5,
        "crypto_error_not_caught",
        (
            (
                "box.py",
                "except (CryptoError, ValueError):\n            raise NotOpened from None",
                "except KeyError:\n            raise NotOpened from None",
            ),
        ),
        "boxes",
        "CryptoError in PeerBox.open",
        ("works", "safety-number"),
    ),
    Wrong(
        5,
        "content_not_looked_at",
        (
            (
                "box.py",
                "except (msgspec.MsgspecError, UnicodeError):",
                "except KeyError:",
            ),
        ),
        "boxes",
        "in open_from",
        ("works", "reflection"),
    ),
    Wrong(
        5,
        "recipient_not_compared",
        (("box.py", SAME_MEANING, 'if (content.sender, content.kind == "whisper") != (sealed.sender, whispered):'),),
        "sender-inside",
        "“to”: “dave”",
        ("works", "kind-inside", "reflection"),
    ),
    Wrong(
        5,
        "pins_kept_in_memory",
        (("pins.py", "        write_checked(self.file, msgspec.json.encode(self.known), lasting=True)\n", ""),),
        "pinned",
        "after a restart Bob comes with his key",
        ("works", "boxes"),
    ),
    Wrong(
        5,
        "one_key_under_two_names",
        (("pins.py", '            return "shared"\n', "            pass\n"),),
        "pinned",
        "Carol comes with Bob's key",
        ("works",),
    ),
    Wrong(
        5,
        "changed_key_is_a_notice",
        (("client.py", CHANGED, CHANGED.replace("alarm", "notice")),),
        "pinned",
        "Bob came again with another key, and Alice's screen shows no alarm",
        ("works", "safety-number"),
    ),
    Wrong(
        5,
        "own_name_not_looked_at",
        (("client.py", "            stolen = member.public_key != self.public_key\n", "            stolen = False\n"),),
        "pinned",
        "in Alice's own name",
        ("works", "safety-number"),
    ),
    Wrong(
        5,
        "whispers_only_in_order",
        (
            (
                "counters.py",
                'if kind != "whisper" or counter[0] != last[0] or behind >= WINDOW or window >> behind & 1:',
                "if counter <= last:",
            ),
        ),
        "no-replay",
        "one of those overtaken",
        ("works",),
    ),
    Wrong(
        5,
        "sessions_not_compared",
        (("counters.py", "        if counter > last:\n", "        if counter[1] > last[1]:\n"),),
        "no-replay",
        "one of an earlier start",
        ("works",),
    ),
    Wrong(
        5,
        "safety_number_of_the_keys_alone",
        (("box.py", 'f"{n} {k.hex()}" for n, k in sorted(members)', "k.hex() for n, k in sorted(members)"),),
        "safety-number",
        "and the reference's",
        ("works",),
    ),
)
