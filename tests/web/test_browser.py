"""The page in a real browser, from the disk and without a network."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from media import media_run

import s2s_plugin

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@contextmanager
def opened(path: Path, width: int) -> Iterator[Any]:
    """The page on a screen of this many pixels; closing it checks that it fits, had no errors and made no requests."""
    playwright = pytest.importorskip("playwright.sync_api")
    problems: list[str] = []
    requests: list[str] = []
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert problems == [] and all(url.startswith(("file:", "blob:", "data:")) for url in requests)


@pytest.mark.parametrize("width", [390, 1200])
def test_a_page_from_the_disk(small_model: Path, tmp_path: Path, width: int):
    package, path = tmp_path / "letters.s2s", tmp_path / "page.html"
    call(f"s2s export runs/nmt/default --precision int8 --to {package}", cwd=small_model)
    call(f"s2s export {package} --web {path}")
    model, texts = s2s_plugin.load(package, precision="int8"), ["d e f g", "a b", "h h c"]
    with opened(path, width) as page:
        page.get_by_role("textbox").first.fill(texts[0])
        page.get_by_role("textbox").first.press("Enter")
        page.locator(".output .text").first.wait_for()
        shown = page.locator(".output .text").first.inner_text()
        translated = page.evaluate("(texts) => s2s.translate(texts)", texts)
        assert page.locator(".token").count() > 1 and page.locator(".lattice").count() == 1
    assert [shown, *translated] == [model.translate(texts[0]), *model.translate(texts)]


@pytest.mark.parametrize(("modality", "width"), [("image", 390), ("audio", 1200)])
def test_a_page_for_files(tmp_path: Path, modality: str, width: int):
    run = media_run(tmp_path, modality)
    package, path = tmp_path / "media.s2s", tmp_path / "page.html"
    call(f"s2s export {run} --precision int8 --to {package}", cwd=tmp_path)
    call(f"s2s export {package} --web {path}")
    model = s2s_plugin.load(package, precision="int8")
    files = sorted((tmp_path / "media").iterdir())[:6]
    broken = tmp_path / f"broken{files[0].suffix}"
    broken.write_text("nothing")
    with opened(path, width) as page:
        chooser = page.locator("input[name=file]")
        chooser.set_input_files(broken)
        page.locator(".status.problem").wait_for()
        assert page.locator(".status").inner_text().startswith(f"{broken.name}: not a ")
        chooser.set_input_files(files[0])
        page.locator(".signal canvas").first.wait_for()
        page.locator(".token").first.click()
        assert page.locator(".signal [aria-pressed=true]").count() == 1
        shown = page.locator(".output .text").first.inner_text()
        page.evaluate("() => { document.querySelector('input[name=file]').multiple = true; }")
        page.evaluate("() => { globalThis.kept = (event) => { globalThis.chosen = [...event.target.files]; }; }")
        page.evaluate("() => document.querySelector('input[name=file]').addEventListener('change', kept)")
        chooser.set_input_files(files)
        translated = page.evaluate("() => s2s.translate(chosen)")
        seen = page.evaluate("""async () => {
          const { outputs, signal } = await s2s.explore({ file: chosen[0], options: { nbest: 1 }, prefix: [] });
          return { ...signal, pixels: [...signal.pixels], likeliest: outputs[0].alternatives };
        }""")
        if modality == "audio":
            page.get_by_role("button", name="Record", exact=True).click()
            page.get_by_role("button", name="Stop").wait_for()
            time.sleep(1)
            page.get_by_role("button", name="Stop").click()
            page.locator("audio").wait_for()
            page.wait_for_timeout(500)
            assert page.locator(".status").inner_text() == ""
    exploration = model.explore(files[0])
    assert exploration.signal is not None
    pixels = np.asarray(exploration.signal.pixels, dtype=np.int64).ravel()
    assert np.abs(pixels - seen["pixels"]).max() <= 1
    assert seen.get("step_seconds") == exploration.signal.step_seconds and seen["kind"] == modality
    for mine, other in zip(seen["likeliest"], exploration.alternatives[0], strict=True):
        assert [each["probability"] for each in mine] == pytest.approx([each.probability for each in other], abs=0.02)
    expected = model.translate(files)
    assert [shown or "(empty)", *translated] == [expected[0] or "(empty)", *expected]
