"""The section `security.encryption.vault`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase_cli.config import Secret, VaultAuth, VaultMethod, VaultSettings, load_settings
from fluxbase_cli.errors import ConfigurationError

SECTION = """
security:
  encryption:
    vault:
      address: "https://${HOST}:8200"
      namespace: team
      ca_cert: /etc/ca.pem
      auth:
        method: AppRole
        mount: machines
        role_id: role-marker
        secret_id: "${SECRET_ID}"
        secret_id_file: /run/secret-id
        role: rotation
        jwt: jwt-marker
        jwt_file: /run/jwt
        token: token-marker
"""


def vault(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> VaultSettings:
    (tmp_path / "fluxbase.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(directory=tmp_path, environ=environ or {}, system_directory=tmp_path / "none")
    return settings.encryption.vault


def test_the_section_is_read_and_shows_no_secret(tmp_path: Path) -> None:
    settings = vault(tmp_path, SECTION, {"HOST": "vault.internal", "SECRET_ID": "id-marker"})
    assert settings == VaultSettings(
        address="https://vault.internal:8200",
        namespace="team",
        ca_cert="/etc/ca.pem",
        auth=VaultAuth(
            method=VaultMethod.APPROLE,
            mount="machines",
            role="rotation",
            role_id=Secret("role-marker"),
            secret_id=Secret("id-marker"),
            secret_id_file="/run/secret-id",
            jwt=Secret("jwt-marker"),
            jwt_file="/run/jwt",
            token=Secret("token-marker"),
        ),
    )
    assert "marker" not in repr(settings)


def test_without_the_section_vaults_own_variables_are_used(tmp_path: Path) -> None:
    assert vault(tmp_path, "security: {}") == VaultSettings()


def test_every_setting_has_its_variable(tmp_path: Path) -> None:
    prefix = "FLUXBASE_SECURITY_ENCRYPTION_VAULT_"
    environ = {"HOST": "h", "SECRET_ID": "s", f"{prefix}NAMESPACE": "other", f"{prefix}AUTH_SECRET_ID": "newer"}
    settings = vault(tmp_path, SECTION, environ)
    assert (settings.namespace, settings.auth.secret_id) == ("other", Secret("newer"))


def test_an_unknown_method_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        vault(tmp_path, "security: {encryption: {vault: {auth: {method: hunter2}}}}")
    assert caught.value.message == (
        "fluxbase.yaml: security.encryption.vault.auth.method must be one of token, approle, kubernetes, jwt"
    )


def test_a_secret_that_yaml_reads_as_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="put quotes around it"):
        vault(tmp_path, "security: {encryption: {vault: {auth: {secret_id: 0123}}}}")
