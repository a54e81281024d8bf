"""The HTML of a report in a real browser: complete on every screen and on paper, for everybody, and with no request."""

from __future__ import annotations

import json
from pathlib import Path

import axe_core_python
import pytest

from fluxbase_cli.report.evidence.html import to_html
from tests.fixtures.browser import Browser
from tests.fixtures.large_report import HOSTILE, large_report
from tests.fixtures.reporting import checked

_AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
#: Elements that stick out of the window, and elements whose content is cut.
_CUT = """
(() => {
  const head = element => element.closest("thead");
  const hidden = element => head(element) && getComputedStyle(head(element)).position === "absolute";
  const out = [...document.querySelectorAll("body *")].filter(element => !hidden(element)).filter(element => {
    const box = element.getBoundingClientRect();
    const cuts = getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1
      && !(element instanceof SVGElement);
    return box.right > window.innerWidth + 0.5 || box.left < -0.5 || cuts;
  });
  return {
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    out: out.map(element => element.outerHTML.slice(0, 120)),
  };
})()
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(to_html(checked(large_report())), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("width", "scheme", "media"),
    [(360, "light", "screen"), (1280, "dark", "screen"), (1280, "light", "print"), (360, "dark", "print")],
)
def test_nothing_is_cut_nothing_is_asked_for_and_nobody_is_shut_out(
    browser: Browser, file: Path, width: int, scheme: str, media: str
) -> None:
    with browser.page() as page:
        page.open(file, width=width, scheme=scheme, media=media)

        assert page.value("window.innerWidth") == width
        assert page.value(_CUT) == {"wider": 0, "out": []}
        page.value(_AXE.read_text(encoding="utf-8") + ";0")
        found = page.value("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
        assert [(each["id"], [node["html"][:100] for node in each["nodes"]]) for each in found] == []
        assert page.complaints == []
        assert page.requests == []


def test_a_browser_sees_hostile_names_as_text_and_runs_nothing(browser: Browser, file: Path) -> None:
    with browser.page() as page:
        page.open(file, width=1280)

        assert page.value("document.title") == "fluxbase-cli report. Rotation 3: version 1 to version 2"
        assert page.value("document.querySelectorAll('script, img, iframe, object, form').length") == 0
        names = "[...document.querySelectorAll('*')].flatMap(each => [...each.attributes].map(one => one.name))"
        assert page.value(f"{names}.filter(name => name.startsWith('on'))") == []
        text = page.value("document.body.textContent")
        assert HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e") in text
        assert page.value("document.querySelectorAll('svg.curve').length") == 2
        assert page.value("document.querySelectorAll('.bars').length") == 20


def test_it_is_one_file_without_a_script_and_without_an_address() -> None:
    text = to_html(large_report())

    assert "<script" not in text
    assert "\x1b" not in text
    for attribute in (" src=", "url(", "@import", 'href="http'):
        assert attribute not in text.replace(" src=https://evil.example/x onerror", "")
    assert json.dumps(HOSTILE) not in text
