"""The page in a real browser: headless Chromium; skipped with its reason where there is none."""

import csv
import io
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reports.content.numbers import shown
from reports.output import compact
from reports.output.formats import csv_text
from reports.output.page import render_page
from reports.output.tables import main_table
from reports.report import Report
from tests.reports.conftest import MADE

webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is missing")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
    pytest.mark.skipif(DRIVER is None, reason="no chromedriver on the path"),
    # Its connection to the browser is closed by the collector, long after the browser has gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
LOCAL = ("file:", "data:", "blob:", "chrome:", "chrome-untrusted:")
SECONDS = 30


class Browser:
    """A Chromium with the page open."""

    def __init__(self, page: Path, folder: Path, *, scripts: bool = True) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        self.downloads = folder / "downloads"
        options.add_experimental_option(
            "prefs",
            {
                "download.default_directory": str(self.downloads),
                "profile.default_content_setting_values.automatic_downloads": 1,
                "profile.managed_default_content_settings.javascript": 1 if scripts else 2,
            },
        )
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(
            options=options, service=webdriver.ChromeService(executable_path=DRIVER)
        )
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def emulate(self, *, width: int = 1280, scheme: str = "light") -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def requested(self) -> list[str]:
        events = [json.loads(entry["message"])["message"] for entry in self.performance]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    @property
    def performance(self) -> list[dict[str, str]]:
        return list(self.driver.get_log("performance"))

    def downloaded(self, name: str) -> str:
        """Wait until the browser has put the whole file in its place."""
        path = self.downloads / name
        end = time.monotonic() + SECONDS
        # Until it is whole, an empty file stands in its place and the content beside it.
        while time.monotonic() < end and not (path.exists() and path.stat().st_size):
            time.sleep(0.05)
        return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(report: Report) -> Path:
    return report.files[-1]


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(page, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.driver.quit()


@pytest.fixture
def fresh(browser: Browser, page: Path) -> Browser:
    browser.emulate()
    browser.driver.get(page.as_uri())
    return browser


def test_it_loads_without_a_word_and_asks_the_network_for_nothing(
    page: Path, fresh: Browser
) -> None:
    assert fresh.driver.get_log("browser") == []
    outside = [url for url in fresh.requested() if not url.startswith(LOCAL)]
    assert outside == []


def test_it_shows_the_numbers_of_report_json(page: Path, fresh: Browser) -> None:
    plain = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    rows = fresh.all("table[data-name=table] tbody tr")
    assert len(rows) == len(plain["aggregates"])
    for row, numbers in zip(rows, plain["aggregates"], strict=True):
        text = row.text.replace("−", "-").replace("\n", " ")
        for key in ("mean", "iqm", "optimality_gap"):
            at = numbers[key]
            assert f"{at['value']:z.3f}" in text
            assert f"[{at['low']:z.3f}, {at['high']:z.3f}]" in text
    assert fresh.one("h1").text == re.sub(r"\s+", " ", plain["headline"])


def test_no_name_runs_as_a_script(fresh: Browser, report: Report) -> None:
    assert fresh.run("return document.querySelectorAll('script').length") == 2
    assert report.document.labels[0] in fresh.one(".legend").text


def test_a_legend_hides_a_label_in_every_figure(fresh: Browser) -> None:
    def visible() -> int:
        groups = '.series[data-label="1"]:not(.off)'
        return int(fresh.run("return document.querySelectorAll(arguments[0]).length", groups))

    before = visible()
    key = fresh.one("button.key[data-label='1']")
    assert key.get_attribute("aria-pressed") == "true"
    fresh.run("arguments[0].click()", key)
    assert (before > 10, visible()) == (True, 0)
    pressed = {key.get_attribute("aria-pressed") for key in fresh.all("button.key[data-label='1']")}
    assert pressed == {"false"}
    fresh.run("arguments[0].click()", key)
    assert visible() == before


def test_the_theme_follows_the_system_until_it_is_chosen(fresh: Browser) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = fresh.run(colour)
    fresh.emulate(scheme="dark")
    dark = fresh.run(colour)
    assert light != dark
    button = fresh.one("#theme")
    seen = []
    for _ in range(3):
        fresh.run("arguments[0].click()", button)
        seen.append((button.text, fresh.run(colour)))
    assert seen == [("Light", light), ("Dark", dark), ("Auto", dark)]


def test_a_pointer_on_a_curve_brings_up_its_numbers(fresh: Browser, report: Report) -> None:
    svg = fresh.one("#figure-learning-curves svg.wide")
    fresh.run(
        "const b = arguments[0].getBoundingClientRect();"
        "arguments[0].dispatchEvent(new PointerEvent('pointermove',"
        "{clientX: b.right - 20, clientY: b.top + 50, bubbles: true}))",
        svg,
    )
    tip = fresh.run("return document.getElementById('tip').textContent")
    assert "environment steps" not in tip  # the axis is named as in the table
    assert tip.startswith("steps 10,240")
    assert all(label in tip for label in report.document.labels)
    last = [curve.value[-1] for curve in report.document.curves if curve.task is None]
    assert all(f"{value:.3f}".rstrip("0") in tip for value in last if value is not None)


def test_tables_and_figures_download_as_csv_and_svg(fresh: Browser, report: Report) -> None:
    fresh.run("arguments[0].click()", fresh.one("button[data-csv=table]"))
    read = list(csv.reader(io.StringIO(fresh.downloaded("table.csv"), newline="")))
    expected = list(csv.reader(io.StringIO(csv_text(main_table(report.document)), newline="")))
    assert read[0] == expected[0]
    for ours, theirs in zip(read[1:], expected[1:], strict=True):
        assert ours[0] == theirs[0]
        assert [float(cell) for cell in ours[3:6]] == [float(cell) for cell in theirs[3:6]]
    fresh.run("arguments[0].click()", fresh.one("#figure-learning-curves button[data-svg]"))
    text = fresh.downloaded("learning-curves.svg")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    # The legend comes with the file, and so do the colours.
    assert "spec_ppo (tuned)" in "".join(root.itertext())
    assert 'stroke="#0072B2"' in text


def test_the_iqm_is_on_screen_at_400_pixels(fresh: Browser, report: Report) -> None:
    fresh.emulate(width=400)
    leading = fresh.one(".leading dd").rect
    assert leading["y"] + leading["height"] < 900  # without scrolling down
    best = max(row.iqm.value or 0.0 for row in report.document.aggregates)
    assert f"IQM {best:z.3f}" in fresh.one(".leading").text
    cell = fresh.one("table[data-name=table] tbody td")
    assert fresh.one("table[data-name=table] thead th:nth-child(2)").text == "IQM"
    assert 0 < cell.rect["x"] < cell.rect["x"] + cell.rect["width"] <= 400  # nor to the side


def test_the_first_tab_skips_to_the_report(fresh: Browser) -> None:
    from selenium.webdriver.common.keys import Keys

    fresh.one("body").send_keys(Keys.TAB)
    link = fresh.driver.switch_to.active_element
    assert link.text == "Skip to the report"
    assert link.is_displayed()
    link.send_keys(Keys.ENTER)
    assert fresh.run("return location.hash") == "#main"


def test_tips_come_by_keyboard_and_go_by_escape(fresh: Browser, report: Report) -> None:
    from selenium.webdriver.common.keys import Keys

    svg = fresh.one("#figure-intervals svg.wide")
    fresh.run("arguments[0].focus()", svg)
    tip = "return document.getElementById('tip').textContent"
    shown_tips = []
    for _ in range(2):
        fresh.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        shown_tips.append(fresh.run(tip))
    assert shown_tips[0].startswith(f"{report.document.labels[0]}: IQM ")
    assert shown_tips[1].startswith(f"{report.document.labels[1]}: IQM ")
    fresh.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert fresh.run("return document.getElementById('tip').hidden") is True


def test_a_table_is_copied_as_latex(fresh: Browser, report: Report) -> None:
    button = fresh.one("#table button[data-latex]")
    fresh.run("arguments[0].click()", button)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not (text := button.get_attribute("data-copied")):
        time.sleep(0.05)
    lines = text.splitlines()
    assert lines[1].startswith(r"\begin{tabular}{lr")
    assert lines[3].startswith("label & IQM & ")
    assert len(lines) == 8 + len(report.document.aggregates) - 1
    assert all(line.count(" & ") == lines[3].count(" & ") for line in lines[5:-2])
    assert "spec\\_ppo (tuned)" in text
    assert "\\textbf{" in text


def test_the_command_that_repeats_it_is_shown(fresh: Browser, report: Report) -> None:
    shown_words = [node.get_property("textContent") for node in fresh.all("#repeat-section code")]
    made, command = shown_words
    assert shlex.split(made) == list(MADE)
    button = fresh.one("#repeat-section button[data-copy]")
    fresh.run("arguments[0].click()", button)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not button.get_attribute("data-copied"):
        time.sleep(0.05)
    assert button.get_attribute("data-copied") == made
    assert command.startswith("python -m ppo_lab.report LOGS --baseline ")
    assert "numpy" in fresh.all("#repeat-section .caption")[-1].text


def test_a_very_wide_page_makes_a_tasks_table_when_it_is_opened_and_filters(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "MANY_GROUPS", 0)
    monkeypatch.setattr(compact, "MAX_PAGE_BYTES", 0)
    tasks = [*report.document.tasks]
    more = [replace(tasks[0], name=f"Other{number}-v0") for number in range(4)]
    page = tmp_path / "page.html"
    page.write_text(render_page(replace(report.document, tasks=(*tasks, *more))), encoding="utf-8")
    browser = Browser(page, tmp_path)
    try:
        task = browser.one("#task-1")
        assert browser.run("return arguments[0].querySelector('table')", task) is None
        browser.run("arguments[0].open = true", task)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not browser.all("#task-1 table"):
            time.sleep(0.05)
        rows = [row for row in report.document.task_scores if row.task == tasks[0].name]
        names = [node.text for node in browser.all("#task-1 tbody th")]
        assert names == [row.label for row in rows]
        box = browser.one("#filter")
        box.send_keys("Other1")
        shown_tasks = [node for node in browser.all(".task") if node.is_displayed()]
        assert [node.text.split("\n")[0] for node in shown_tasks] == ["Other1-v0"]
        box.clear()
        box.send_keys("spec_ppo")
        kept = [node.text for node in browser.all("#task-1 tbody th") if node.is_displayed()]
        assert kept == [name for name in names if "spec_ppo" in name]
        assert 0 < len(kept) < len(names)
    finally:
        browser.driver.quit()


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_narrow_page_does_not_scroll_sideways(fresh: Browser, width: int) -> None:
    fresh.emulate(width=width)
    assert fresh.run("return document.documentElement.scrollWidth") <= width
    shape = "wide" if width > 720 else "narrow"
    shown_forms = {
        svg.get_attribute("class") for svg in fresh.all(".plot svg") if svg.is_displayed()
    }
    assert shown_forms == {shape}


def test_with_scripts_off_tables_and_figures_are_there(
    page: Path, report: Report, tmp_path: Path
) -> None:
    browser = Browser(page, tmp_path, scripts=False)
    try:
        text = browser.one("main").text
        for row in report.document.aggregates:
            assert shown(row.iqm).split(" ")[0] in text
        assert browser.one("#figure-learning-curves svg.wide .line").is_displayed()
        assert not [button for button in browser.all("button") if button.is_displayed()]
    finally:
        browser.driver.quit()
