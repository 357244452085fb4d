"""The page in a real browser, from the disk and without a network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from command_line import call

import s2s_plugin

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@pytest.mark.parametrize("width", [390, 1200])
def test_a_page_from_the_disk(small_model: Path, tmp_path: Path, width: int):
    playwright = pytest.importorskip("playwright.sync_api")
    package, path = tmp_path / "letters.s2s", tmp_path / "page.html"
    call(f"s2s export runs/nmt/default --precision int8 --to {package}", cwd=small_model)
    call(f"s2s export {package} --web {path}")
    model, texts = s2s_plugin.load(package, precision="int8"), ["d e f g", "a b", "h h c"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        problems: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.get_by_role("textbox").first.fill(texts[0])
        page.get_by_role("textbox").first.press("Enter")
        page.locator(".output .text").first.wait_for()
        shown = page.locator(".output .text").first.inner_text()
        translated = page.evaluate("(texts) => s2s.translate(texts)", texts)
        assert page.locator(".token").count() > 1 and page.locator(".lattice").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert [shown, *translated] == [model.translate(texts[0]), *model.translate(texts)]
    assert problems == [] and all(url.startswith(("file:", "blob:", "data:")) for url in requests)
