"""Texts of several lines that an operator pastes are printed as they are, wherever they are quoted."""

from __future__ import annotations

import io

import pytest

from fluxbase_cli.errors import ConfigurationError, PreflightRefusedError
from fluxbase_cli.keys.verify import Verification, Verified
from fluxbase_cli.printable import joined, lines
from fluxbase_cli.report.keys import verification_lines
from fluxbase_cli.report.rotation import plan_lines
from fluxbase_cli.report.terminal import as_shown
from fluxbase_cli.rotation import plan as rotation_plan
from fluxbase_cli.rotation.outcome import Plan
from fluxbase_cli.rotation.schedule import DueDecision
from fluxbase_cli.server.check import settings_to_add
from fluxbase_cli.store.findings import CheckStatus, Finding, refuse_if_any

_SQL = lines(("Ask someone to run:", "", "    GRANT SELECT ON auth.users TO rotator;"))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_yaml_of_a_rotation_plan_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_settings: object) -> None:
        raise ConfigurationError("nothing says how", hint=lines(("Add to fluxbase.yaml:", "", settings_to_add())))

    monkeypatch.setattr(rotation_plan, "refuse_unsuited", refuse)
    missing = rotation_plan._missing(None, {}, None)  # type: ignore[arg-type]
    shown = "\n".join(
        as_shown(line, _Terminal())
        for line in plan_lines(Plan(DueDecision(due=True, why="it is time"), 1, 2, missing=missing))
    )
    assert "✗ Missing: nothing says how. Add to fluxbase.yaml:\n\nsecurity:\n  encryption:\n" in shown
    assert settings_to_add() in shown, "not escaped, and not broken on a narrow terminal either"


def test_the_remedy_of_a_key_keeps_its_lines() -> None:
    problem = joined("it can't be read. ", _SQL)
    text = "\n".join(
        as_shown(line, _Terminal())
        for line in verification_lines(Verification((Verified(1, "env", "X", None, problem),)))
    )
    assert text.endswith(_SQL)


def test_every_remedy_of_several_refusals_keeps_its_lines() -> None:
    refusals = [Finding("rights", CheckStatus.REFUSE, message, _SQL) for message in ("one", "two")]
    with pytest.raises(PreflightRefusedError) as refused:
        refuse_if_any(refusals)
    assert str(refused.value.hint) == f"{_SQL}\nAlso: two. {_SQL}"
