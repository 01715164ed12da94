"""Whom we talk to, and as whom: certificates, credentials, and the settings, none of which a mistake may give away."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring
from scripted_pacs import FAST
from scripted_server import Request, scripted
from some_keyrings import FileKeyring, ForgetfulKeyring, LockedKeyring

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import OsteoScreenError, UsageError
from OsteoScreenLib.pacs.credentials import Credentials, credentials_for
from OsteoScreenLib.pacs.errors import PacsError
from OsteoScreenLib.pacs.finding import Wanted, find_studies
from OsteoScreenLib.pacs.servers import find_server
from OsteoScreenLib.pacs.transport import Connection

ENGINE = Path(__file__).resolve().parents[2]
HTTPS = "https://pacs.example.org/dicom-web"


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """No settings and credentials of whoever runs the tests; the keyring is the file's, which the test may change."""
    monkeypatch.setenv("OSTEOSCREEN_SETTINGS", str(tmp_path / "settings"))
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"OSTEOSCREEN_DICOMWEB_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    before = keyring.get_keyring()
    monkeypatch.setenv("TEST_KEYRING_FILE", str(tmp_path / "keyring.json"))
    keyring.set_keyring(FileKeyring())
    yield
    keyring.set_keyring(before)


def find(url: str, **options) -> int:
    with Connection(find_server(url, **options), FAST) as connection:
        return len(find_studies(connection, Wanted(), 5)[0])


def nothing_found(request: Request) -> None:
    request.json([])


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


# ---- certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """An authority of our own: its certificate's file, and a maker of contexts of servers that it has signed for."""
    pytest.importorskip("cryptography", reason="certificates are made with cryptography, which is not installed")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder, now = tmp_path_factory.mktemp("tls"), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Hospital")])
    key = ec.generate_private_key(ec.SECP256R1())

    def certificate(names: list, own_key: ec.EllipticCurvePrivateKey, until: datetime.datetime, *, ca: bool):
        subject = name if ca else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pacs")])
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(own_key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(days=9)).not_valid_after(until)
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        made = made.add_extension(authority_id, critical=False)
        own_id = x509.SubjectKeyIdentifier.from_public_key(own_key.public_key())
        made = made.add_extension(own_id, critical=False)
        usage = x509.KeyUsage(True, False, False, False, False, ca, ca, False, False)
        return made.add_extension(usage, critical=True).sign(key, hashes.SHA256())

    def server(host: str = "127.0.0.1", days: float = 1) -> ssl.SSLContext:
        own_key = ec.generate_private_key(ec.SECP256R1())
        try:
            names = [x509.IPAddress(ipaddress.ip_address(host))]
        except ValueError:
            names = [x509.DNSName(host)]
        made = certificate(names, own_key, now + datetime.timedelta(days=days), ca=False)
        private = own_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = folder / "server.pem"
        pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    root = folder / "hospital.pem"
    tomorrow = now + datetime.timedelta(days=1)
    root.write_bytes(certificate([], key, tomorrow, ca=True).public_bytes(serialization.Encoding.PEM))
    return root, server


def test_only_a_server_with_a_trusted_certificate_gets_anything(authority, monkeypatch, capsys, tmp_path):
    root, server = authority
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_TOKEN", "t0ken")
    with scripted(nothing_found, server()) as pacs:
        assert main(["pacs", "find", pacs.url]) == 4
        error = capsys.readouterr().err
        assert "is not trusted, so nothing was sent to it" in error and "--ca-file" in error
        assert error.count("\n") == 1
        assert not pacs.requests
        assert main(["pacs", "find", pacs.url, "--ca-file", str(root)]) == 0
        assert main(["pacs", "add", "hospital", pacs.url, "--ca-file", str(root)]) == 0
        assert main(["pacs", "find", "hospital"]) == 0
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(root))
        assert main(["pacs", "find", pacs.url]) == 0
        assert [request.headers["Authorization"] for request in pacs.requests] == ["Bearer t0ken"] * 3
    capsys.readouterr()
    for wrong in (tmp_path / "not there", Path(__file__)):
        assert main(["pacs", "find", HTTPS, "--ca-file", str(wrong)]) == 2
        assert "holds no certificates" in capsys.readouterr().err


def test_a_certificate_that_is_old_or_of_somebody_else_is_not_taken_either(authority):
    root, server = authority
    for context, words in (
        (server(days=-1), "has expired"),
        (server("pacs.example.org"), "is for another name"),
    ):
        with scripted(nothing_found, context) as pacs:
            with pytest.raises(PacsError) as problem:
                find(pacs.url, ca_file=str(root))
            assert words in str(problem.value)
            assert "--ca-file" not in str(problem.value)
            assert not pacs.requests


def test_plain_http_stays_on_this_computer_unless_it_is_allowed():
    for url in ("http://pacs.example.org/dicom-web", "http://10.0.0.1:8042/dicom-web"):
        with pytest.raises(UsageError, match="unprotected"):
            find_server(url)
        assert find_server(url, insecure_http=True).url == url
    for url in ("http://localhost:8042/dicom-web", "http://127.0.0.1/dicom-web", "http://[::1]:80/x/"):
        assert find_server(url).url == url.rstrip("/").replace(":80/x", "/x")
    with scripted(lambda request: request.page()) as plain, pytest.raises(PacsError) as problem:
        find(plain.url.replace("http:", "https:"))
    assert "does not speak TLS" in str(problem.value)


# ---- credentials


def test_credentials_go_to_their_own_server_only(monkeypatch, tmp_path):
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_USER", "reader")
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", "wörd: s3cret")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password netrc-secret\n")
    with scripted(nothing_found) as other:
        with scripted(lambda request: request.status(307, Location=other.url + "/studies")) as pacs:
            assert find(pacs.url) == 0
        assert pacs.requests[0].headers["Authorization"] == basic("reader", "wörd: s3cret")
        assert len(other.requests) == 1 and "Authorization" not in other.requests[0].headers
        monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_USER")
        monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_PASSWORD")
        find(other.url)
        assert "Authorization" not in other.requests[-1].headers


def test_one_servers_credentials_are_not_given_to_another_by_one_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_TOKEN", "t0ken")
    address = f"dicomweb:{HTTPS}/studies/1.2.3"
    command = ["screen", address, "-o", str(tmp_path / "out"), "--write", "dicom", "--send"]
    assert main([*command, "https://other.example.org/dicom-web"]) == 2
    error = capsys.readouterr().err
    assert "are for one server" in error and "t0ken" not in error


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"USER": "reader"}, "belong together"),
        ({"PASSWORD": "s3cret"}, "belong together"),
        ({"USER": "rea:der", "PASSWORD": "s3cret"}, "without ':'"),
        ({"USER": "reader", "PASSWORD": "s3cret\nX-Header: 1"}, "control characters"),
        ({"TOKEN": "s3cret\r\nX-Header: 1"}, "token"),
        ({"TOKEN": "s3crét"}, "token"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_and_not_shown(monkeypatch, capsys, variables, words):
    for name, value in variables.items():
        monkeypatch.setenv(f"OSTEOSCREEN_DICOMWEB_{name}", value)
    assert main(["pacs", "find", HTTPS]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "s3cr" not in error and "rea" not in error.replace("reader-", "").split("OSTEOSCREEN")[0]


def test_credentials_are_never_shown():
    credentials = Credentials("reader", "s3cret-word", "t0ken")
    for shown in (repr(credentials), str(credentials), f"{credentials}"):
        assert not [secret for secret in ("reader", "s3cret-word", "t0ken") if secret in shown]


def on_a_terminal(command: list[str], typed: bytes, environment: dict[str, str]) -> str:
    """What a command shows on a terminal where somebody types."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "OsteoScreenLib", *command],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ENGINE), str(Path(__file__).parent)]), **environment},
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while True:
            shown += os.read(ours, 4096)
            if typed and shown.rstrip().endswith(b":"):
                line, _, typed = typed.partition(b"\n")
                os.write(ours, line + b"\n")
    except OSError:  # how a terminal says that the other side is gone
        process.wait(120)
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def test_a_password_is_typed_once_and_kept_by_the_keyring(tmp_path, capsys, monkeypatch):
    where = {"PYTHON_KEYRING_BACKEND": "some_keyrings.FileKeyring"}
    with scripted(nothing_found) as pacs:
        shown = on_a_terminal(["pacs", "login", pacs.url], b"reader\ns3cret-word\n", where)
        assert "Stored in this computer's keyring" in shown and "s3cret-word" not in shown
        assert find(pacs.url) == 0
        assert pacs.requests[-1].headers["Authorization"] == basic("reader", "s3cret-word")
        # The environment goes first; another server gets nothing.
        monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_TOKEN", "t0ken")
        find(pacs.url)
        assert pacs.requests[-1].headers["Authorization"] == "Bearer t0ken"
        monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_TOKEN")
        assert credentials_for(find_server(HTTPS)) is None
        assert main(["pacs", "logout", pacs.url]) == 0
        assert "Removed" in capsys.readouterr().out
        find(pacs.url)
        assert "Authorization" not in pacs.requests[-1].headers
        assert main(["pacs", "logout", pacs.url]) == 0
        assert "There was nothing" in capsys.readouterr().out
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "keyring.json"]
    assert not [path for path in files if b"s3cret-word" in path.read_bytes()]


def test_a_password_is_not_asked_for_in_a_script(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert main(["pacs", "login", HTTPS]) == 2
    assert "on a terminal" in capsys.readouterr().err


def test_a_keyring_that_does_not_work_is_said():
    from OsteoScreenLib.pacs.credentials import forget, store

    keyring.set_keyring(NoKeyring())
    assert credentials_for(find_server(HTTPS)) is None
    assert forget(HTTPS) is False
    with pytest.raises(OsteoScreenError, match="no keyring that keeps a password"):
        store(HTTPS, Credentials(token="t0ken"))
    keyring.set_keyring(ForgetfulKeyring())
    with pytest.raises(OsteoScreenError, match="no keyring that keeps a password"):
        store(HTTPS, Credentials(token="t0ken"))
    keyring.set_keyring(LockedKeyring())
    for action in (
        lambda: credentials_for(find_server(HTTPS)),
        lambda: store(HTTPS, Credentials(token="t0ken")),
        lambda: forget(HTTPS),
    ):
        with pytest.raises(OsteoScreenError, match="unlock it") as problem:
            action()
        assert "t0ken" not in str(problem.value) and "OSTEOSCREEN_DICOMWEB_TOKEN" in str(problem.value)


@pytest.mark.parametrize("kept", ["s3cret", "[]", '{"user": "s3cret"', '{"other": "s3cret"}', '{"token": "s3cr et"}'])
def test_what_the_keyring_holds_is_looked_at(kept):
    keyring.set_password("osteoscreen", HTTPS, kept)
    with pytest.raises(OsteoScreenError, match="store it again with `osteoscreen pacs login") as problem:
        credentials_for(find_server(HTTPS))
    assert "s3cr" not in str(problem.value)


# ---- the settings


def test_servers_have_names(capsys):
    with scripted(nothing_found) as pacs:
        assert main(["pacs", "add", "ours", pacs.url + "/"]) == 0
        assert main(["pacs", "find", "ours"]) == 0
        assert pacs.requests[0].path.startswith("/dicom-web/studies?")
    capsys.readouterr()
    assert main(["pacs", "servers"]) == 0
    assert capsys.readouterr().out == f"ours  {pacs.url}\n"
    assert main(["pacs", "find", "other"]) == 2
    assert "known are ours" in capsys.readouterr().err
    assert main(["pacs", "remove", "ours"]) == 0
    assert main(["pacs", "remove", "ours"]) == 2
    assert "no server of that name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    ["https://reader:s3cret@host/x", "https://host/x?token=s3cret", "https://host/x#s3cret", "https://", "ftp://host/x",
     "https://host/a b", "https://ho\nst/x", "https://host:99999/x", "https://[::1/x"],
)  # fmt: skip
def test_a_url_that_is_no_servers_or_holds_a_password_is_refused(url, capsys):
    for command in (["pacs", "add", "ours", url], ["pacs", "find", url], ["pacs", "login", url]):
        assert main(command) == 2
        assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"servers": {"a": "https://host"}}', '{"servers": {"a": {}}}', '{"servers": {"a": {"url": 1}}}',
     '{"servers": {"../a": {"url": "https://host"}}}',
     '{"servers": {"a": {"url": "https://host", "password": "s3cret"}}}'],
)  # fmt: skip
def test_damaged_settings_are_said(tmp_path, capsys, text):
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "servers.json").write_text(text)
    assert main(["pacs", "servers"]) == 2
    error = capsys.readouterr().err
    assert "servers.json" in error and "s3cret" not in error and error.count("\n") == 1
