"""The metrics for Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fluxbase_cli.rotation.metrics import Figures, Metrics

NOW = datetime(2026, 11, 1, 2, 5, tzinfo=UTC)


def samples(text: str) -> dict[tuple[str, str | None], float]:
    """The samples by name and key version, as Prometheus' own parser reads them."""
    return {
        (sample.name, sample.labels.get("key_version")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_known_metrics_are_written_completely_and_unknown_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "fluxbase.prom"
    metrics = Metrics()
    metrics.update(Figures(NOW, succeeded=False, by_version={1: 3, 2: 997}))
    metrics.update(
        Figures(
            NOW,
            succeeded=True,
            last_success=NOW,
            active_version=3,
            active_since=NOW - timedelta(minutes=5),
            by_version={2: 0, 3: 1000},
            undecryptable=0,
            next_date=NOW + timedelta(days=30),
        )
    )

    metrics.write(path)

    written = path.read_text(encoding="utf-8")
    assert written == metrics.as_text().decode()
    assert samples(written) == {
        ("fluxbase_rotation_last_run_timestamp_seconds", None): NOW.timestamp(),
        ("fluxbase_rotation_last_run_success", None): 1,
        ("fluxbase_rotation_last_success_timestamp_seconds", None): NOW.timestamp(),
        ("fluxbase_rotation_active_key_version", None): 3,
        ("fluxbase_rotation_active_key_age_seconds", None): 300,
        ("fluxbase_rotation_values", "2"): 0,
        ("fluxbase_rotation_values", "3"): 1000,
        ("fluxbase_rotation_undecryptable_values", None): 0,
        ("fluxbase_rotation_next_timestamp_seconds", None): (NOW + timedelta(days=30)).timestamp(),
        ("fluxbase_rotation_undelivered_notifications", None): 0,
    }
    assert [each.name for each in tmp_path.iterdir()] == ["fluxbase.prom"]


def test_a_file_that_cant_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Metrics().write(tmp_path / "nowhere" / "x.prom")
