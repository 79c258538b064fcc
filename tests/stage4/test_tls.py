"""TLS of stage 4: what is kept, what is made again, what is refused."""

import contextlib
import datetime
import filecmp
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import stages
from common.client import TLS_NAME
from common.errors import LabError
from common.levers import Levers
from common.session import Person
from stages.stage4_tls import tls

HERE = Path(tls.__file__).parent


def folders(at: Path) -> tuple[Path, Path]:
    (at / "server").mkdir()
    return at / "server", at / "ca"


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = TLS_NAME, wires: list[ssl.MemoryBIO] | None = None
) -> ssl.SSLObject:
    """A handshake in memory; raises what the client raises. `wires` gets what goes to the server, and to the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    if wires is not None:
        wires += [to_server, to_client]
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 4:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[0]


def aged(server: Path, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server certificate that has only so many days left."""
    (server / "server.pem").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(tls, "SERVER_DAYS", days)
        tls.renew(server, server.parent / "ca")


def test_handshake_is_tls_1_3_with_the_right_name(tmp_path: Path) -> None:
    server, authority = folders(tmp_path)
    context = tls.server_context(server, authority)
    assert shake_hands(context, tls.client_context(authority / "ca.pem")).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(context, tls.client_context(authority / "ca.pem"), "127.0.0.1.lab.test")


def test_files_are_closed_to_others_but_for_certificates(tmp_path: Path) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    modes = {file.name: file.stat().st_mode & 0o777 for folder in (server, authority) for file in folder.iterdir()}
    assert modes == {"server.key": 0o600, "server.pem": 0o644, "ca.key": 0o600, "ca.pem": 0o644}
    assert not (server / "ca.key").exists()


def test_good_files_stay_as_they_are(tmp_path: Path) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    before = {file: file.read_bytes() for file in (*server.iterdir(), *authority.iterdir())}
    tls.renew(server, authority)
    assert before == {file: file.read_bytes() for file in before}


@pytest.mark.parametrize(
    "damage", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
@pytest.mark.parametrize("name", ["server/server.pem", "ca/ca.pem"])
def test_damaged_certificate_is_made_again_for_the_same_key(tmp_path: Path, name: str, damage: str) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    old_ca = tmp_path / "given-out.pem"
    old_ca.write_bytes((authority / "ca.pem").read_bytes())
    key = (server / "server.key").read_bytes()
    (tmp_path / name).write_text(damage)
    context = tls.server_context(server, authority)
    assert (server / "server.key").read_bytes() == key
    assert shake_hands(context, tls.client_context(old_ca)).version() == "TLSv1.3"


def test_certificate_of_another_authority_is_made_again(tmp_path: Path) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, tmp_path / "another")
    shake_hands(tls.server_context(server, authority), tls.client_context(authority / "ca.pem"))


@pytest.mark.parametrize("days", [-1, 1, tls.RENEW_DAYS])
def test_certificate_that_ends_soon_is_made_again(tmp_path: Path, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    key, ca = (server / "server.key").read_bytes(), (authority / "ca.pem").read_bytes()
    if days < 0:
        monkeypatch.setattr(tls, "CLOCK_SKEW", datetime.timedelta(days=3))
    aged(server, days, monkeypatch)
    tls.renew(server, authority)
    left = x509.load_pem_x509_certificate((server / "server.pem").read_bytes())
    assert tls.lasts(left)
    assert ((server / "server.key").read_bytes(), (authority / "ca.pem").read_bytes()) == (key, ca)


def test_server_that_runs_on_renews_its_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, authority = folders(tmp_path)
    context = tls.server_context(server, authority)
    client = tls.client_context(authority / "ca.pem")
    first = shake_hands(context, client).getpeercert(binary_form=True)
    monkeypatch.setattr(tls, "RENEW_DAYS", tls.SERVER_DAYS - 1)
    assert shake_hands(context, client).getpeercert(binary_form=True) == first  # it lasts still
    monkeypatch.setattr(tls, "RENEW_DAYS", tls.SERVER_DAYS + 1)
    shake_hands(context, client)
    second = shake_hands(context, client).getpeercert(binary_form=True)
    assert second != first


def test_authority_whose_files_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    (authority / "ca.key").unlink()
    with pytest.raises(LabError, match=r"ca\.pem is not the certificate of"):
        tls.renew(server, authority)


@pytest.mark.parametrize("name", ["server/server.key", "ca/ca.key"])
def test_key_that_is_none_or_open_to_others_is_refused(tmp_path: Path, name: str) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    (tmp_path / name).chmod(0o644)
    with pytest.raises(LabError, match="can be read by others; close it with: chmod 600"):
        tls.renew(server, authority)
    (tmp_path / name).chmod(0o600)
    (tmp_path / name).write_text("nothing")
    with pytest.raises(LabError, match="is no private key"):
        tls.renew(server, authority)
    other = rsa.generate_private_key(65537, 2048)
    (tmp_path / name).write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(LabError, match="is a private key of another kind"):
        tls.renew(server, authority)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_client_without_an_authority_says_what_to_give(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(LabError, match=r"is no authority's certificate .*; give the server's ca.pem with CA="):
        tls.client_context(tmp_path / "ca.pem")


def test_client_trusts_this_authority_and_no_other(tmp_path: Path) -> None:
    server, authority = folders(tmp_path)
    tls.renew(server, authority)
    assert len(tls.client_context(authority / "ca.pem").get_ca_certs()) == 1


@pytest.mark.parametrize("number", [4, 5])
def test_pinned_key_survives_renewal_and_no_other_is_taken(tmp_path: Path, number: int) -> None:
    server, _ = folders(tmp_path)
    (tmp_path / "alice").mkdir()
    stage = stages.find(number)
    levers = Levers.parse("pin_server_key=on", stage.levers)
    person = Person("alice", 0, folder=tmp_path / "alice")

    def connect() -> None:
        context, client = stage.server_tls(levers, server), stage.client_tls(levers, person)
        assert context
        assert client
        shake_hands(context, client)

    connect()
    (server / "server.pem").unlink()
    connect()  # another certificate, the same key
    (server / "server.key").unlink()
    with pytest.raises(ssl.SSLCertVerificationError, match="the server's key is not the one that is kept"):
        connect()


@pytest.mark.parametrize(
    "name",
    [
        "tls.py",
        *(
            f"what_if/{lever}.py"
            for lever in ("verify", "pin_server_key", "starttls_opportunistic", "transport_static_rsa")
        ),
    ],
)
def test_stage_5_has_the_same_tls(name: str) -> None:
    assert filecmp.cmp(HERE / name, HERE.parent / "stage5_box" / name, shallow=False)
