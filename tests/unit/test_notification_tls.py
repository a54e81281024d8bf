"""Notifications over TLS: they are sent only to a server whose identity is proven."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fluxbase_cli.config import Secret
from fluxbase_cli.notifications.message import Notification, NotificationType
from fluxbase_cli.notifications.post import DeliveryError, post
from fluxbase_cli.notifications.recipient import Webhook


def certificate(folder: Path, address: str) -> Path:
    """A file with a self-signed certificate for an address, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{address}.pem"
    path.write_bytes(text)
    return path


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


@pytest.fixture(params=["127.0.0.1", "127.0.0.2"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Webhook, Path, bool]]:
    """An endpoint at 127.0.0.1, the file with its certificate, and whether the certificate is for this address."""
    path = certificate(tmp_path, request.param)
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"https://127.0.0.1:{server.server_address[1]}/hook"
    yield Webhook(Secret(url)), path, request.param == "127.0.0.1"
    server.shutdown()
    server.server_close()
    thread.join()


def notification() -> Notification:
    return Notification(uuid4(), NotificationType.TEST, datetime.now(UTC), "a test")


def test_a_certificate_that_the_system_does_not_trust_is_refused_without_a_retry(
    served: tuple[Webhook, Path, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A setting that makes other programs trust the certificate has no effect here.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served[1]))
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1: its certificate can't be trusted") as caught:
        post(served[0], notification())
    assert not caught.value.temporary
    assert "hook" not in str(caught.value)


def test_a_certificate_in_ssl_cert_file_is_trusted_only_for_the_host_that_it_names(
    served: tuple[Webhook, Path, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, path, names_the_host = served
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    if names_the_host:
        post(webhook, notification())
        return
    with pytest.raises(DeliveryError, match="its certificate can't be trusted"):
        post(webhook, notification())
