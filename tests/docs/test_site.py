"""The site builds without a warning and asks the network for nothing."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from docs.mathml import on_page_content
from docs.snippets import HOME

FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=\"?(?:https?:)?//"
    r"|<link\b(?![^>]*rel=\"?canonical)[^>]*\bhref=\"?(?:https?:)?//"
    r"|@import[^;]*//|url\([\"']?(?:https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    answer = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=HOME,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "WARNING" not in answer.stderr
    return folder


def test_no_page_and_no_style_sheet_fetches_anything(site: Path) -> None:
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 10
    for file in files:
        found = FETCHED.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.name}: {found and found[0]}"


def test_every_page_has_its_place_and_no_tool_is_published(site: Path) -> None:
    names = {page.stem for page in (HOME / "docs").glob("*.md")}
    assert names <= {file.stem for file in site.glob("*.html")}
    assert not list(site.glob("*.py"))
    assert (site / "tutorial.ipynb").exists()


def test_every_formula_is_set_and_every_code_block_is_code(site: Path) -> None:
    kernels = (site / "kernels.html").read_text(encoding="utf-8")
    assert kernels.count("<math") > 50
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "arithmatex" not in text, page.name
        assert "```" not in re.sub(r"<code>.*?</code>", "", text, flags=re.DOTALL), page.name


def test_a_formula_becomes_mathml() -> None:
    marked = r'<p>so <span class="arithmatex">\(a &lt; b_1\)</span></p>'
    converted = on_page_content(marked, page=None)
    assert converted.startswith("<p>so <span><math")
    assert "<msub><mi>b</mi><mn>1</mn></msub>" in converted
    assert "&#x0003C;" in converted


def test_a_functions_name_is_set_off_from_its_argument_unless_in_brackets() -> None:
    def space(latex: str) -> int:
        marked = rf'<span class="arithmatex">\({latex}\)</span>'
        return on_page_content(marked, page=None).count("<mspace")

    assert space(r"\log p") == 1
    assert space(r"\min(a, b)") == 0


def test_search_works_from_disk(site: Path, tmp_path: Path) -> None:
    """In a browser, where there is one: it starts no worker from a file."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is missing")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or shutil.which("chromedriver") is None:
        pytest.skip("no chromium with its driver on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path}")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.get((site / "index.html").as_uri() + "?q=wilcoxon")
        found: list[str] = []
        end = time.monotonic() + 60
        while time.monotonic() < end and not found:
            results = driver.find_elements("css selector", ".md-search-result__link")
            found = [str(result.get_attribute("href")) for result in results]
            time.sleep(0.1)
    assert any("tuning.html" in link for link in found)
