"""The Grafana dashboard: its queries run on a real Prometheus that scrapes a real daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.command import until
from tests.fixtures.openbao import free_port
from tests.fixtures.programs import program
from tests.fixtures.rotating import Rotating

MONITORING = Path(__file__).parents[2] / "examples/monitoring"
_SCRAPED = "127.0.0.1:9821"


class Prometheus:
    """A Prometheus with the sample configuration, which scrapes the daemon each second.

    Args:
        folder: where its files are.
        target: host and port of the daemon.
    """

    def __init__(self, folder: Path, target: str) -> None:
        sample = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
        assert _SCRAPED in sample
        config = folder / "prometheus.yml"
        config.write_text("global:\n  scrape_interval: 1s\n" + sample.replace(_SCRAPED, target), encoding="utf-8")
        (folder / "alerts.yml").write_bytes((MONITORING / "alerts.yml").read_bytes())
        port = free_port()
        self._address = f"http://127.0.0.1:{port}"
        self.target = target
        self.process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'prometheus-data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of a query at this moment; nothing before it has started."""
        question = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self._address}/api/v1/query?{question}", timeout=10) as answer:  # noqa: S310
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            with error:
                # It answers with 503 until it is ready.
                if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                    return []
                pytest.fail(f"{expression}: {error.read().decode()}")
        except OSError:
            return []


@pytest.fixture
def scraped(rotating: Rotating, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus whose daemon has just rotated."""
    with rotating.command.start("rotation", "daemon", "--listen", "127.0.0.1:0") as running:
        until(lambda: "Next: " in running.stderr or running.ended, "it has rotated")
        line = next(each for each in running.stderr.splitlines() if each.startswith("Listening on "))
        made = Prometheus(tmp_path, line.split()[2].removeprefix("http://"))
        try:
            yield made
        finally:
            made.process.terminate()
            made.process.wait(10)
            running.send(signal.SIGTERM)
            running.finish()


@pytest.mark.slow
def test_every_panel_of_the_dashboard_shows_data(scraped: Prometheus) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    queries = {
        (panel["title"], target["refId"]): target["expr"].replace("$job", "fluxbase-cli").replace("$instance", ".*")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    assert len(queries) > 10

    for (title, _), expression in queries.items():
        assert "$" not in expression
        until(lambda expression=expression: scraped.query(expression), f"{title}: {expression}")  # type: ignore[misc]  # bound now

    assert [each["metric"]["alertname"] for each in scraped.query('ALERTS{alertstate="firing"}')] == []
    with urllib.request.urlopen(f"http://{scraped.target}/metrics", timeout=10) as answer:
        text = answer.read()
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    values = {each["metric"]["key_version"]: each["value"][1] for each in scraped.query("fluxbase_rotation_values")}
    assert values == {"1": "0", "2": "40"}
