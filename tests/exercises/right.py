"""Right solutions in another style than the reference's, as whoever read another tutorial writes them: other library
calls, other helpers, exceptions in place of early returns, other ways to a fresh nonce."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Right:
    """One right solution.

    written: by file, what stands there in place of the reference's functions of the same names: `def RoomKey.seal(…`.
    Imports are put above the first of its own, anything else at the end; a file that it does not have is new.
    asks: the requirements that it is checked against beside `works`: those that the change touches; all where none are
    named. A whole check takes seconds.
    before: files that are those of the stage before, in which the lever is attached by hand.
    """

    stage: int
    name: str
    written: dict[str, tuple[str, ...]]
    asks: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


_STAGE1: Final = (
    Right(
        1,
        "helpers_and_match",
        {
            "client.py": (
                """
def ClientSession.connected(self) -> list[ClientEffect]:
    hello = Join(name=self.name, udp_port=self.udp_port)
    effects: list[ClientEffect] = []
    effects.append(Send(message=hello))
    return effects
""",
                """
def ClientSession.whisper(self, to: str, text: str) -> list[ClientEffect]:
    match self.roster.get(to):
        case Presence(address=host, udp_port=port):
            return [Datagram(message=self.packed(to, text), to=(host, port))]
        case _:
            return [alarm(f"Nobody here is called {to}.")]

def packed(self, to: str, text: str) -> Whisper:
    return Whisper(sender=self.name, to=to, text=self.seal(text))
""",
                """
def ClientSession.datagram(self, message: Whisper, source: Address) -> list[ClientEffect]:
    known, mine = message.sender in self.roster, message.to == self.name
    if known and mine:
        return [Show(kind="whisper", text=self.open(message.text), sender=message.sender)]
    return [alarm("A whisper was dropped: " + ("it is not for us." if known else f"who is {message.sender}?"))]
""",
            )
        },
    ),
    Right(
        1,
        "exceptions",
        {
            "client.py": (
                """
def ClientSession.whisper(self, to: str, text: str) -> list[ClientEffect]:
    try:
        there = self.roster[to]
    except KeyError:
        return [notice(f"There is no {to}.")]
    where = (there.address, there.udp_port)
    return [Datagram(Whisper(to=to, sender=self.name, text=text), where)]
""",
                """
def ClientSession.datagram(self, message: Whisper, source: Address) -> list[ClientEffect]:
    try:
        sender = self.roster[message.sender]
        if message.to != self.name:
            raise LookupError(f"this is for {message.to}")
    except LookupError as error:
        return [alarm(f"Dropped a whisper from {source[0]}: {error}")]
    return [Show("whisper", message.text, sender.name)]
""",
            )
        },
        ("peer-to-peer", "nobody-there", "shown", "strangers-dropped", "roster-not-source"),
    ),
    Right(
        1,
        "addresses_kept_from_the_roster_in_a_table_of_their_own",
        {
            "client.py": (
                """
def ClientSession.whisper(self, to: str, text: str) -> list[ClientEffect]:
    addresses = {one.name: (one.address, one.udp_port) for one in self.roster.values() if one.name != self.name}
    if to == self.name:
        return [notice("You talk to yourself.")]
    return [Datagram(Whisper(sender=self.name, to=to, text=text), addresses[to])] if to in addresses else [
        notice(f"{to}? Only {', '.join(addresses) or 'nobody'} is here.")
    ]
""",
                """
def ClientSession.datagram(self, message: Whisper, source: Address) -> list[ClientEffect]:
    faults = {
        f"it claims to be from {message.sender}, who is not here": message.sender not in self.roster,
        "it claims to be from ourselves": message.sender == self.name,
        f"it is for {message.to}": message.to != self.name,
    }
    for fault, there in faults.items():
        if there:
            return [alarm(f"A whisper was dropped, since {fault}.")]
    return [Show("whisper", self.open(message.text), sender=message.sender)]
""",
            )
        },
        ("peer-to-peer", "nobody-there", "shown", "strangers-dropped", "roster-not-source"),
    ),
)

_STAGE2: Final = (
    Right(
        2,
        "nacl_bindings_and_sql_of_ones_own",
        {
            "accounts.py": (
                "from nacl import bindings, exceptions\n",
                """
def Argon2id.hash(self, password: bytes) -> bytes:
    made = bindings.crypto_pwhash_str_alg(password, 3, 32 * 1024 * 1024, bindings.crypto_pwhash_ALG_ARGON2ID13)
    return bytes(made.split(b"\\0", 1)[0])
""",
                """
def Argon2id.verify(self, stored: bytes, password: bytes) -> bool:
    try:
        bindings.crypto_pwhash_str_verify(stored, password)
    except (exceptions.InvalidkeyError, exceptions.ValueError):
        return False
    else:
        return True
""",
                """
def Accounts.register(self, name: str, password: str) -> bool:
    stored = self.hashing.hash(_normal(password))
    try:
        with self._open() as database:
            database.execute(
                "INSERT INTO accounts (name, skeleton, stored) VALUES (:name, :like, :stored)",
                {"name": name, "like": skeleton(name), "stored": stored},
            )
    except sqlite3.IntegrityError:
        return False
    return True
""",
                """
def Accounts.has(self, name: str) -> bool:
    with self._open() as database:
        (count,) = database.execute("SELECT COUNT(*) FROM accounts WHERE name = ?", [name]).fetchone()
    return bool(count)
""",
                """
def Accounts.remove(self, name: str) -> bool:
    with self._open() as database:
        gone = database.execute("DELETE FROM accounts WHERE name = ? RETURNING name", [name]).fetchall()
    return len(gone) > 0
""",
            )
        },
        ("name-needs-password", "salted", "memory-hard"),
    ),
    Right(
        2,
        "argon2_from_another_call_and_the_form_by_hand",
        {
            "accounts.py": (
                "import base64\nimport hmac\nimport re\nimport secrets\n",
                """
def Argon2id.hash(self, password: bytes) -> bytes:
    salt = secrets.token_bytes(16)
    key = argon2id.kdf(32, password, salt, opslimit=PASSES, memlimit=MEMORY_BYTES)
    return f"$argon2id$v=19$m={MEMORY_BYTES // 1024},t={PASSES},p=1${self.b64(salt)}${self.b64(key)}".encode()

@staticmethod
def b64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
""",
                """
def Argon2id.verify(self, stored: bytes, password: bytes) -> bool:
    parts = re.fullmatch(r"\\$argon2id\\$v=19\\$m=(\\d+),t=(\\d+),p=1\\$([^$]+)\\$([^$]+)", stored.decode())
    if parts is None:
        return False
    salt, wanted = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in parts.groups()[2:])
    key = argon2id.kdf(len(wanted), password, salt, opslimit=int(parts[2]), memlimit=int(parts[1]) * 1024)
    return hmac.compare_digest(key, wanted)
""",
                """
def Accounts.verify(self, name: str, password: str) -> bool:
    with self._open() as database:
        found = database.execute("SELECT stored FROM accounts WHERE name = ?", (name,)).fetchall()
    if not found:
        self.hashing.hash(_normal(password))  # as slow as looking at one
        return False
    [(stored,)] = found
    return self.hashing.verify(stored, _normal(password))
""",
            )
        },
        ("salted", "memory-hard", "one-answer", "same-time"),
    ),
    Right(
        2,
        "early_returns_and_functions_with_names",
        {
            "server.py": (
                """
def ServerSession.admit(self, message: Register | Login) -> list[ServerEffect]:
    def slow() -> bool:
        if isinstance(message, Register):
            return self.accounts.register(message.name, message.password)
        return self.accounts.verify(message.name, message.password)

    def then(right: bool) -> list[ServerEffect]:
        return self.admitted(message, right=right)

    return [Work(slow, then)]
""",
                """
def ServerSession.admitted(self, message: Register | Login, *, right: bool) -> list[ServerEffect]:
    if not right and isinstance(message, Register):
        return refuse(self, "name-taken", "Choose another name.")
    if not right or not self.accounts.has(message.name):
        return refuse(self, "wrong-password", "Wrong name, or wrong password.")
    effects = self.replace_older(message.name)
    effects += self.enter(message)
    return effects
""",
                """
def ServerSession.attribute(self, message: Say) -> Say:
    assert self.name is not None
    return Say(sender=self.name, text=message.text, to=message.to)
""",
            )
        },
        ("name-needs-password", "sender-from-session", "one-session", "one-answer"),
    ),
)

_STAGE3: Final = (
    Right(
        3,
        "hkdf_by_hand_and_the_cipher_in_parts",
        {
            "room_key.py": (
                "import json\nimport secrets\n\n"
                "from cryptography.hazmat.primitives.ciphers import Cipher as Parts\n"
                "from cryptography.hazmat.primitives.ciphers.algorithms import AES\n"
                "from cryptography.hazmat.primitives.ciphers.modes import GCM\n\n"
                "from .rfc5869 import expand, extract\n",
                """
def canonical(*parts: str | int) -> bytes:
    return json.dumps(list(parts), separators=(",", ":")).encode("ascii")
""",
                """
def derive(secret: bytes, purpose: str, *binding: str | int) -> bytes:
    info = canonical("progressive-security-lab " + purpose + " v" + str(VERSION), *binding)
    return expand(extract(bytes(32), secret), info)
""",
                """
def AesGcm.seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
    nonce = secrets.token_bytes(NONCE_BYTES)
    encryptor = Parts(AES(key), GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(associated_data)
    ciphertext = encryptor.update(text) + encryptor.finalize()
    return nonce, ciphertext + encryptor.tag
""",
                """
def AesGcm.open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES or len(ciphertext) < 16:
        raise NotOpened
    body, tag = ciphertext[:-16], ciphertext[-16:]
    decryptor = Parts(AES(key), GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(associated_data)
    text = decryptor.update(body)
    try:
        text += decryptor.finalize()
    except InvalidTag as error:
        raise NotOpened from error
    return text
""",
                """
def RoomKey.fresh(cls, ciphers: Ciphers) -> "RoomKey":
    return cls(AESGCM.generate_key(bit_length=256), ciphers)
""",
            ),
            "rfc5869.py": (
                """
import hashlib
import hmac


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.new(salt, secret, hashlib.sha256).digest()


def expand(key: bytes, info: bytes) -> bytes:
    return hmac.new(key, info + b"\\x01", hashlib.sha256).digest()
""",
            ),
        },
    ),
    Right(
        3,
        "counting_nonces_with_a_random_prefix_of_each_start",
        {
            "room_key.py": (
                "import itertools\nimport threading\n",
                '''
_START = os.urandom(8)
"""Drawn anew with each start; below it messages are counted, in four bytes."""
_COUNT = itertools.count()


def next_nonce() -> bytes:
    return _START + next(_COUNT).to_bytes(4, "big")


class Tampered(NotOpened):
    """One kind of what cannot be opened."""
''',
                """
def AesGcm.seal(self, key: bytes, text: bytes, associated_data: bytes) -> tuple[bytes, bytes]:
    nonce = next_nonce()
    return nonce, AESGCM(key).encrypt(nonce, text, associated_data)
""",
                """
def AesGcm.open(self, key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated_data)
    except Exception as error:
        raise Tampered("the tag does not fit") from error
""",
                """
def RoomKey.open(self, sealed: Say | Whisper) -> str:
    padded = self.cipher.open(self._message_key(sealed), sealed.nonce, sealed.ciphertext, sealed.associated_data())
    try:
        text = self.padding.unpad(padded).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotOpened("no text") from error
    if text == "" or len(text.encode()) > TEXT_BYTES:
        raise NotOpened("an empty text, or a long one")
    return text
""",
            )
        },
        ("nonce-fresh", "tag-checked", "data-bound", "key-per-sender", "agrees"),
    ),
    Right(
        3,
        "libsodium_and_the_counter_as_nonce",
        {
            "room_key.py": (
                "from nacl import bindings, exceptions\n",
                """
def derive(secret: bytes, purpose: str, *binding: str | int) -> bytes:
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    label = f"progressive-security-lab {purpose} v1"
    extracted = HKDF.extract(SHA256(), b"", secret)
    return HKDFExpand(SHA256(), 32, canonical(label, *binding)).derive(extracted)
""",
                """
def RoomKey.__init__(self, key: bytes, ciphers: Ciphers) -> None:
    self.key, self.cipher, self.padding = key, ciphers.cipher, ciphers.padding
    self.table: dict[tuple[str, str], bytes] = {}
""",
                """
def RoomKey.seal(self, kind: Kind, sender: str, to: str | None, counter: Counter, text: str) -> Say | Whisper:
    session, n = counter  # the session is another with each start, so this pair never comes twice under one key
    nonce = session.to_bytes(7, "big") + n.to_bytes(5, "big")
    cls = {"room": Say, "direct": Say, "whisper": Whisper}[kind]
    made = {"kind": kind, "sender": sender, "to": to, "counter": counter, "nonce": nonce}
    blank = cls(**made, ciphertext=b"")
    padded = self.padding.pad(text.encode("utf-8"))
    return cls(**made, ciphertext=AESGCM(self._message_key(blank)).encrypt(nonce, padded, blank.associated_data()))
""",
                """
def RoomKey._message_key(self, sealed: Say | Whisper) -> bytes:
    at = (sealed.kind, sealed.sender)
    if at not in self.table:
        self.table[at] = derive(self.key, "message", ROOM, *at)
    return self.table[at]
""",
                """
def wrap(grant: Grant, to: str, sender: str, request: KeyRequest) -> KeyGrant:
    private = bindings.randombytes(32)
    public = bindings.crypto_scalarmult_base(private)
    pair = X25519PrivateKey.from_private_bytes(private)
    key = agree(pair, request.public_key, request.public_key, public, newcomer=to, holder=sender)
    nonce = bindings.randombytes(12)
    sealed = AESGCM(key).encrypt(nonce, msgspec.json.encode(grant), None)
    return KeyGrant(sender=sender, to=to, public_key=public, nonce=nonce, ciphertext=sealed)
""",
                """
def unwrap(own: X25519PrivateKey, answer: KeyGrant) -> Grant:
    ours, theirs = own.public_key().public_bytes_raw(), answer.public_key
    key = agree(own, theirs, ours, theirs, newcomer=answer.to, holder=answer.sender)
    try:
        text = AESGCM(key).decrypt(answer.nonce, answer.ciphertext, None)
        return msgspec.json.Decoder(Grant).decode(text)
    except Exception:
        raise NotOpened from None
""",
                """
def agree(
    own: X25519PrivateKey, peer: bytes, newcomer_key: bytes, holder_key: bytes, newcomer: str, holder: str
) -> bytes:
    try:
        secret = bindings.crypto_scalarmult(own.private_bytes_raw(), peer)
    except (exceptions.CryptoError, ValueError, TypeError):
        raise NotOpened from None
    if not any(secret):
        raise NotOpened
    return derive(secret, "room key", ROOM, newcomer, holder, newcomer_key.hex(), holder_key.hex())
""",
            )
        },
        (
            "derived",
            "nonce-fresh",
            "data-bound",
            "key-per-sender",
            "agrees",
            "key-wrapped",
            "names-bound",
            "zero-secret-refused",
        ),
    ),
)

_STAGE4: Final = (
    Right(
        4,
        "default_context_for_one_file",
        {
            "tls.py": (
                """
def client_context(ca_file: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)  # and no other authority
    except (OSError, ssl.SSLError) as error:
        raise LabError(f"{ca_file} is no authority's certificate: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags = context.verify_flags | ssl.VerifyFlags.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    context.set_ciphers("ALL:!aNULL:@SECLEVEL=2")
    return context
""",
            )
        },
        ("chain", "name", "dates-and-purpose", "strict", "no-authority"),
    ),
    Right(
        4,
        "options_in_place_of_a_minimum",
        {
            "tls.py": (
                """
def client_context(ca_file: Path) -> ssl.SSLContext:
    try:
        text = ca_file.read_text(encoding="ascii")
        x509.load_pem_x509_certificates(text.encode())
    except (OSError, ValueError):
        raise LabError(f"{ca_file} is no authority's certificate.") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    context.set_ciphers("DEFAULT:@SECLEVEL=2")
    context.load_verify_locations(cadata=text)
    return context
""",
                """
def server_context(folder: Path, authority: Path) -> ssl.SSLContext:
    renew(folder, authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    until = [load_certificate(context, folder)]
    context.sni_callback = lambda *_: look_again(context, folder, authority, until)
    return context
""",
                """
def look_again(context: ssl.SSLContext, folder: Path, authority: Path, until: list[datetime.datetime]) -> None:
    if lasts(until[0]):
        return
    renew(folder, authority)
    until[0] = load_certificate(context, folder)
""",
            )
        },
        ("tls-1-3", "authority-apart", "no-authority", "strict", "name"),
    ),
    Right(
        4,
        "another_certificate_attached_by_hand",
        {
            "tls.py": (
                "from cryptography.hazmat.primitives.hashes import SHA384\n",
                """
def server_certificate(
    key: ec.EllipticCurvePublicKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    who = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab"), x509.NameAttribute(NameOID.COMMON_NAME, "the server")]
    )
    issuer = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), True),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage(sign_certificates=False), True),
    ]
    builder = certificate(who, ca.subject, key, 7 + RENEW_DAYS)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca_key, SHA384())
""",
            ),
            "compose.py": (
                "import ssl\n",
                """
def server_tls(levers: Levers, folder: Path) -> ssl.SSLContext:
    from .tls import server_context

    return server_context(folder, folder.parent / "ca")


def client_tls(levers: Levers, person: Person) -> ssl.SSLContext:
    from .tls import client_context

    return client_context(person.ca or (person.folder or Path()).parent / "ca" / "ca.pem")
""",
            ),
        },
        ("authority-apart", "no-authority", "strict"),
        ("compose.py",),
    ),
)

_STAGE5: Final = (
    Right(
        5,
        "libsodiums_bindings_and_counting_nonces",
        {
            "box.py": (
                "import itertools\nimport os\n\nfrom nacl import bindings\n",
                '''
_START = os.urandom(16)
_COUNT = itertools.count()
"""A nonce is what this start drew, and how many came before."""
''',
                """
def PeerBox.__init__(self, own: PrivateKey, peer: bytes) -> None:
    try:
        self._key = bindings.crypto_box_beforenm(peer, own.encode())
    except (CryptoError, ValueError) as error:
        raise NotOpened("a key that is none") from error
""",
                """
def PeerBox.seal(self, plain: bytes) -> tuple[bytes, bytes]:
    nonce = _START + next(_COUNT).to_bytes(8, "little")
    return nonce, bindings.crypto_box_afternm(plain, nonce, self._key)
""",
                """
def PeerBox.open(self, nonce: bytes, ciphertext: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise NotOpened
    try:
        return bytes(bindings.crypto_box_open_afternm(ciphertext, nonce, self._key))
    except CryptoError:
        raise NotOpened from None
""",
                """
def open_from(peer: Sealer, padding: Padding, sealed: Say | Whisper) -> Content:
    text = padding.unpad(peer.open(sealed.nonce, sealed.ciphertext))
    try:
        content = msgspec.convert(msgspec.json.decode(text), Content)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise NotOpened(str(error)) from error
    allowed = ("whisper",) if isinstance(sealed, Whisper) else ("room", "direct")
    if content.kind not in allowed:
        raise NotOpened("another kind")
    if content.sender != sealed.sender:
        raise NotOpened("another sender")
    if content.to != sealed.to:
        raise NotOpened("another recipient")
    return content
""",
            )
        },
        ("boxes", "sender-inside", "reflection", "kind-inside", "members-apart"),
    ),
    Right(
        5,
        "sets_of_what_came_in_place_of_bits",
        {
            "counters.py": (
                "from collections import defaultdict\nfrom itertools import count\n",
                """
def Counters.__init__(self, folder: Path, own: bytes) -> None:
    self.own = own
    self.session = next_session(folder / "session")
    self.file = folder / "seen.json"
    self.sent: defaultdict[tuple[bytes, str], count[int]] = defaultdict(count)
    self.seen: dict[str, list[Counter]] = self._load()
""",
                """
def Counters.next(self, peer: bytes, kind: Kind) -> Counter:
    return self.session, next(self.sent[peer, kind])
""",
                """
def Counters.accept(self, peer: bytes, kind: Kind, counter: Counter) -> int | None:
    at = "/".join((self.own.hex(), peer.hex(), kind))
    came = [tuple(one) for one in self.seen.get(at, [])]
    newest = max(came, default=None)
    if counter in came:
        return None
    if newest and counter < newest:
        late = counter[0] == newest[0] and newest[1] - counter[1] < WINDOW
        if kind != "whisper" or not late:
            return None
    self.seen[at] = sorted([*came, counter])[-WINDOW:]
    self._record()
    if kind == "whisper":
        return 0
    return counter[1] - newest[1] - 1 if newest and newest[0] == counter[0] else counter[1]
""",
                """
def Counters._record(self) -> None:
    write_whole(self.file, msgspec.json.encode(self.seen))
""",
                """
def Counters._load(self) -> dict[str, list[Counter]]:
    return msgspec.json.decode(self.file.read_bytes(), type=dict[str, list[Counter]]) if self.file.exists() else {}
""",
            )
        },
        ("no-replay", "counters-unique"),
    ),
    Right(
        5,
        "early_returns_and_structures_of_another_make",
        {
            "pins.py": (
                """
def Pins.meet(self, name: str, key: bytes) -> Meeting:
    owners = {pin.key: owner for owner, pin in self.known.items()}
    match owners.get(key), self.known.get(name):
        case owner, _ if owner == name:
            return "known"
        case str(), _:
            return "shared"
        case None, None:
            self.pin(name, key)
            return "first"
    return "changed"
""",
                """
def Pins.is_pinned(self, name: str, key: bytes) -> bool:
    try:
        return self.known[name].key == key
    except KeyError:
        return False
""",
                """
def Pins.pin(self, name: str, key: bytes, *, verified: bool = False) -> None:
    self.known = {**self.known, name: Pin(key=key, verified=verified)}
    write_whole(self.file, msgspec.json.format(msgspec.json.encode(self.known)), lasting=True)
""",
            ),
            "box.py": (
                "import json\n",
                """
def seal_for(peer: Sealer, padding: Padding, content: Content) -> Say | Whisper:
    text = json.dumps(msgspec.to_builtins(content), indent=1, ensure_ascii=False, sort_keys=True)
    nonce, ciphertext = peer.seal(padding.pad(text.encode()))
    if content.kind == "whisper":
        return Whisper(sender=content.sender, to=content.to, nonce=nonce, ciphertext=ciphertext)
    return Say(sender=content.sender, to=content.to, nonce=nonce, ciphertext=ciphertext)
""",
                """
def safety_number(*members: tuple[str, bytes]) -> str:
    rows = sorted(f"{name} {key.hex()}" for name, key in members)
    text = json.dumps(["progressive-security-lab safety number v1", *rows], separators=(",", ":"))
    digest = hashlib.new("sha512", text.encode()).digest()
    numbers = [int(digest[5 * i : 5 * i + 5].hex(), 16) % 10**5 for i in range(12)]
    return " ".join(str(number).zfill(5) for number in numbers)
""",
            ),
        },
        ("boxes", "sender-inside", "pinned", "safety-number", "server-cannot-forge"),
    ),
)

RIGHT: Final = (*_STAGE1, *_STAGE2, *_STAGE3, *_STAGE4, *_STAGE5)
