"""Rules of the security check on the configuration: a fault that is found, and a good configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.security import check, configuration_of, found

#: The default of the Compose file in the server's repository.
PUBLISHED = "haEae1GZfKa/lzMHyNFIR5iL0FZFIMMxMN3pb2jqCRc="
STRONG = "Vd0jKk2vQ8sYw1uXzR5tB7nM3pL6cH9gF4aE0iO2qS8dU1yT5rW7eZ3xC6vN9bKm"


def test_a_published_jwt_secret_is_critical_wherever_it_is(tmp_path: Path) -> None:
    in_file = configuration_of(tmp_path, f"auth:\n  jwt_secret: {PUBLISHED}\n")
    in_variable = configuration_of(tmp_path, None, {"FLUXBASE_AUTH_JWT_SECRET": PUBLISHED})

    assert found(check("FB-JWT-001", configuration=in_file)) == [("FB-JWT-001", "critical", "auth.jwt_secret")]
    report = check("FB-JWT-001", configuration=in_variable)
    assert found(report) == [("FB-JWT-001", "critical", "FLUXBASE_AUTH_JWT_SECRET")]
    assert PUBLISHED not in repr(report)


@pytest.mark.parametrize("variables", [{"FLUXBASE_AUTH_JWT_SECRET": STRONG}])
def test_another_jwt_secret_is_not_published(tmp_path: Path, variables: dict[str, str]) -> None:
    report = check("FB-JWT-001", configuration=configuration_of(tmp_path, None, variables))

    assert (report.findings, report.not_checked) == ((), ())


def test_a_rule_without_what_it_reads_is_not_checked() -> None:
    report = check("FB-JWT-001", "FB-RLS-001")

    assert report.findings == ()
    assert [each.rule for each in report.not_checked] == ["FB-JWT-001", "FB-RLS-001"]
