"""Real servers on loopback: one that takes mail, one that takes calls; and stores of both kinds."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


class MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as a client needs: STARTTLS, AUTH PLAIN, one message after the other."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self, certificate: Path | None = None, *, encrypted: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.certificate, self.encrypted = certificate, encrypted
        #: (encrypted, user and password, recipients, text) of each message taken.
        self.taken: list[tuple[bool, str, list[str], str]] = []
        #: Answers to the command DATA before a message is taken; such as "451 later".
        self.refusals: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Mail(socketserver.StreamRequestHandler):
    server: MailServer

    def _secure(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self.server.certificate is not None
        context.load_cert_chain(self.server.certificate)
        self.rfile.close()
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def handle(self) -> None:
        try:
            self._talk()
        except (OSError, ssl.SSLError):
            return  # the client went away, as it does when it does not trust us
        finally:
            for opened in (self.rfile, self.wfile, self.connection):
                opened.close()

    def _talk(self) -> None:
        encrypted, who, recipients = self.server.encrypted, "", []
        if encrypted:
            self._secure()
        self._say("220 here")
        while line := self.rfile.readline():
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case "EHLO":
                    offered = ["AUTH PLAIN"] + (["STARTTLS"] if self.server.certificate and not encrypted else [])
                    self._say("250-hello\r\n" + "".join(f"250-{each}\r\n" for each in offered[:-1]) + f"250 {offered[-1]}")
                case "STARTTLS":
                    self._say("220 go")
                    self._secure()
                    encrypted = True
                case "AUTH":
                    who = base64.b64decode(rest.split()[1]).decode().strip("\0").replace("\0", ":")
                    self._say("235 welcome" if who == "ann:geheim-7x" else f"535 no, {who} is nobody")
                case "RCPT":
                    recipients.append(rest)
                    self._say("250 ok")
                case "DATA" if self.server.refusals:
                    self._say(self.server.refusals.pop(0))
                case "DATA":
                    self._say("354 go on")
                    text = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        text += part
                    self.server.taken.append((encrypted, who, recipients, text.decode()))
                    recipients = []
                    self._say("250 taken")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class CallServer(ThreadingHTTPServer):
    """Takes calls and answers them with ``code``; a redirect leads to ``/other``."""

    daemon_threads, request_queue_size = True, 128

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.code, self.wait_s = 200, 0.0
        #: (path, headers, body) of each call.
        self.taken: list[tuple[str, Any, bytes]] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"


class _Call(BaseHTTPRequestHandler):
    server: CallServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, self.headers, body))
        time.sleep(self.server.wait_s)
        self.send_response(self.server.code)
        if 300 <= self.server.code < 400:
            self.send_header("Location", f"{self.server.url}/other")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


def _running(server: socketserver.BaseServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def mail_server(certificate: Path) -> Iterator[MailServer]:
    """One that offers STARTTLS."""
    yield from _running(MailServer(certificate))


@pytest.fixture
def encrypted_mail_server(certificate: Path) -> Iterator[MailServer]:
    """One that speaks TLS from the first byte."""
    yield from _running(MailServer(certificate, encrypted=True))


@pytest.fixture
def plain_mail_server() -> Iterator[MailServer]:
    """One without encryption."""
    yield from _running(MailServer())


@pytest.fixture
def call_server() -> Iterator[CallServer]:
    yield from _running(CallServer())


@pytest.fixture
def https_server(certificate: Path) -> Iterator[CallServer]:
    yield from _running(CallServer(certificate))
