"""Every way to get a token, against a real OpenBao server."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from fluxbase_cli.config import EncryptionSettings, KeyEntry, Secret, VaultAuth, VaultMethod, VaultSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring import ProviderContext, load_provider
from tests.fixtures.openbao import KeyValues, OpenBao

KEY = bytes(range(32))
SECTION = "security.encryption.vault.auth"


class Wanted(NamedTuple):
    """A key in Vault, and a policy that allows reading it."""

    server: OpenBao
    entry: KeyEntry
    policy: str

    def fetch(self, auth: VaultAuth, **environ: str) -> bytes:
        """Read the key with a login."""
        encryption = EncryptionSettings(vault=VaultSettings(auth=auth))
        variables = {"VAULT_ADDR": self.server.address, **environ}
        return load_provider("vault", ProviderContext(encryption, variables, pytest.fail)).fetch(self.entry)

    def refusal(self, auth: VaultAuth, **environ: str) -> str:
        """The message when that fails. It contains no credential."""
        with pytest.raises(ConfigurationError) as caught:
            self.fetch(auth, **environ)
        answer = f"{caught.value.message} {caught.value.hint}"
        assert answer.startswith("fluxbase.yaml: keys[0].key: ")
        assert caught.value.__cause__ is None
        for credential in (auth.secret_id, auth.role_id, auth.jwt, auth.token):
            assert credential is None or credential.reveal() not in answer
        assert "marker" not in answer + repr(auth)
        return answer


@pytest.fixture
def wanted(openbao: KeyValues) -> Wanted:
    """A key that the test reads."""
    openbao.put("v1", key=KEY.hex())
    name = f"reads-{openbao.mount}"
    rule = f'path "{openbao.mount}/data/v1" {{ capabilities = ["read"] }}'
    openbao.server.ask("PUT", f"sys/policies/acl/{name}", {"policy": rule})
    reference = Secret(f"{{{{ vault `{openbao.mount}/v1` }}}}")
    return Wanted(openbao.server, KeyEntry(1, "vault", "fluxbase.yaml: keys[0].key", reference), name)


@contextmanager
def login(server: OpenBao, kind: str, mount: str) -> Iterator[None]:
    """A login method that is mounted, and removed afterwards."""
    server.ask("POST", f"sys/auth/{mount}", {"type": kind})
    try:
        yield
    finally:
        server.ask("DELETE", f"sys/auth/{mount}")


def test_a_token_is_taken_from_the_variable_then_the_file_then_the_home(wanted: Wanted, tmp_path: Path) -> None:
    good, none = wanted.server.token, VaultAuth()
    home = tmp_path / ".vault-token"
    home.write_text(f"{good}\n", encoding="ascii")
    assert wanted.fetch(none, HOME=str(tmp_path)) == KEY
    assert wanted.fetch(VaultAuth(token=Secret(good))) == KEY
    assert wanted.fetch(VaultAuth(token=Secret("marker")), VAULT_TOKEN=good) == KEY

    home.write_text("marker", encoding="ascii")
    assert wanted.fetch(VaultAuth(token=Secret(good)), HOME=str(tmp_path)) == KEY
    assert "does not accept the token (~/.vault-token)" in wanted.refusal(none, HOME=str(tmp_path))
    assert f"the token ({SECTION}.token)" in wanted.refusal(VaultAuth(token=Secret("marker")))
    home.write_bytes(b"\xff\xfe")
    assert "~/.vault-token can't be read" in wanted.refusal(none, HOME=str(tmp_path))
    home.unlink()
    assert "there is no token for Vault" in wanted.refusal(none, HOME=str(tmp_path))
    assert "`vault login`" in wanted.refusal(none)


def test_a_login_by_approle(wanted: Wanted, tmp_path: Path) -> None:
    server = wanted.server
    with login(server, "approle", "machines/ours"):
        role = "auth/machines/ours/role/rotation"
        server.ask("POST", role, {"token_policies": [wanted.policy]})
        role_id = Secret(server.ask("GET", f"{role}/role-id")["data"]["role_id"])
        secret_id = Secret(server.ask("POST", f"{role}/secret-id", {})["data"]["secret_id"])
        auth = VaultAuth(VaultMethod.APPROLE, mount="machines/ours", role_id=role_id, secret_id=secret_id)
        file = tmp_path / "secret-id"
        file.write_text(f"{secret_id.reveal()}\n", encoding="ascii")

        assert wanted.fetch(auth) == KEY
        assert (
            wanted.fetch(replace(auth, secret_id=None, secret_id_file=str(file), mount="/auth/machines/ours/")) == KEY
        )
        refused = "refuses the login: approle at auth/machines/ours (HTTP 400) Check mount, role_id, secret_id"
        assert refused in wanted.refusal(replace(auth, secret_id=Secret("marker")))
        assert refused in wanted.refusal(replace(auth, secret_id=None))
        assert f"{SECTION} has no role_id" in wanted.refusal(replace(auth, role_id=None))
        assert "has no such login, or refuses it: approle at auth/approle (HTTP 403)" in wanted.refusal(
            replace(auth, mount=None)
        )
        assert "secret_id_file: /nowhere can't be read" in wanted.refusal(
            replace(auth, secret_id=None, secret_id_file="/nowhere")
        )
        # The environment has priority over the file.
        assert "(environment: VAULT_TOKEN)" in wanted.refusal(auth, VAULT_TOKEN="marker")

        server.ask("POST", role, {"bind_secret_id": False, "token_bound_cidrs": ["127.0.0.0/8"]})
        assert wanted.fetch(replace(auth, secret_id=None)) == KEY


def test_a_login_that_expires_between_two_requests_is_done_again(wanted: Wanted) -> None:
    server = wanted.server
    with login(server, "approle", "short"):
        server.ask("POST", "auth/short/role/r", {"token_policies": [wanted.policy]})
        auth = VaultAuth(
            VaultMethod.APPROLE,
            mount="short",
            role_id=Secret(server.ask("GET", "auth/short/role/r/role-id")["data"]["role_id"]),
            secret_id=Secret(server.ask("POST", "auth/short/role/r/secret-id", {})["data"]["secret_id"]),
        )
        encryption = EncryptionSettings(vault=VaultSettings(address=server.address, auth=auth))
        provider = load_provider("vault", ProviderContext(encryption, {}, pytest.fail))
        assert provider.fetch(wanted.entry) == KEY
        for accessor in server.ask("LIST", "auth/token/accessors")["data"]["keys"]:
            answer = server.ask("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            if answer["path"] == "auth/short/login":
                server.ask("POST", "auth/token/revoke-accessor", {"accessor": accessor})

        assert provider.fetch(wanted.entry) == KEY


def test_a_login_by_jwt(wanted: Wanted, tmp_path: Path) -> None:
    server = wanted.server
    key, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    claims = {"sub": "pipeline", "aud": "vault", "iat": int(time.time()), "exp": int(time.time()) + 600}
    with login(server, "jwt", "ci"):
        server.ask("POST", "auth/ci/config", {"jwt_validation_pubkeys": [public]})
        server.ask(
            "POST",
            "auth/ci/role/rotation",
            {
                "role_type": "jwt",
                "user_claim": "sub",
                "bound_audiences": ["vault"],
                "token_policies": [wanted.policy],
            },
        )
        auth = VaultAuth(VaultMethod.JWT, mount="ci", role="rotation", jwt=Secret(signed(key, claims)))
        file = tmp_path / "jwt"
        file.write_text(signed(key, claims), encoding="ascii")

        assert wanted.fetch(auth) == KEY
        assert wanted.fetch(replace(auth, jwt=None, jwt_file=str(file))) == KEY
        refused = "refuses the login: jwt at auth/ci (HTTP 400) Check mount, role, jwt"
        assert refused in wanted.refusal(replace(auth, jwt=Secret(signed(stranger, claims))))
        assert refused in wanted.refusal(replace(auth, jwt=Secret(signed(key, {**claims, "exp": 1}))))
        assert refused in wanted.refusal(replace(auth, role="nobody"))
        assert refused in wanted.refusal(replace(auth, role=None))
        assert f"{SECTION} has no jwt or jwt_file" in wanted.refusal(replace(auth, jwt=None))


def test_a_login_by_kubernetes(wanted: Wanted, tmp_path: Path) -> None:
    """OpenBao asks the cluster whether the token of the service account is valid. `reviewer` plays the cluster."""
    server = wanted.server
    token = service_account_token()
    file = tmp_path / "token"
    file.write_text(token, encoding="ascii")
    with login(server, "kubernetes", "kubernetes"), reviewer(token) as cluster:
        server.ask(
            "POST",
            "auth/kubernetes/config",
            {
                "kubernetes_host": cluster,
                "kubernetes_ca_cert": any_certificate(),
                "disable_local_ca_jwt": True,
                "token_reviewer_jwt": "reviewer",
            },
        )
        server.ask(
            "POST",
            "auth/kubernetes/role/rotation",
            {
                "bound_service_account_names": ["rotation"],
                "bound_service_account_namespaces": ["jobs"],
                "token_policies": [wanted.policy],
            },
        )
        auth = VaultAuth(VaultMethod.KUBERNETES, role="rotation", jwt_file=str(file))

        assert wanted.fetch(auth) == KEY
        refused = "refuses it: kubernetes at auth/kubernetes (HTTP 403) Check mount, role, jwt"
        assert refused in wanted.refusal(replace(auth, jwt=Secret(service_account_token(uid="another"))))
        assert "at auth/kubernetes (HTTP 400)" in wanted.refusal(replace(auth, role="nobody"))
        # Outside of a cluster there is no such file.
        assert "serviceaccount/token can't be read" in wanted.refusal(replace(auth, jwt_file=None))


@contextmanager
def reviewer(good: str) -> Iterator[str]:
    """The only request of the Kubernetes API that matters here, TokenReview. Returns the address of the fake API."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status: dict[str, Any] = {"authenticated": asked["spec"]["token"] == good}
            if status["authenticated"]:
                status["user"] = {"username": "system:serviceaccount:jobs:rotation", "uid": "uid-1"}
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
            text = json.dumps(body).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def signed(key: ec.EllipticCurvePrivateKey, claims: dict[str, Any]) -> str:
    """A token signed with ES256 (RFC 7515, appendix A.3)."""
    head = f"{part({'alg': 'ES256', 'typ': 'JWT'})}.{part(claims)}"
    r, s = decode_dss_signature(key.sign(head.encode(), ec.ECDSA(SHA256())))
    return f"{head}.{unpadded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def service_account_token(uid: str = "uid-1") -> str:
    """A token of the service account `rotation` in the namespace `jobs`. Only the cluster checks its signature."""
    claims = {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:jobs:rotation",
        "kubernetes.io/serviceaccount/namespace": "jobs",
        "kubernetes.io/serviceaccount/service-account.name": "rotation",
        "kubernetes.io/serviceaccount/service-account.uid": uid,
        "kubernetes.io/serviceaccount/secret.name": "rotation-token",
    }
    return signed(ec.generate_private_key(ec.SECP256R1()), claims)


def part(content: dict[str, Any]) -> str:
    return unpadded(json.dumps(content).encode())


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def any_certificate() -> str:
    """The certificate authority of the cluster. OpenBao demands one, although plain HTTP does not need it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return dated.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
