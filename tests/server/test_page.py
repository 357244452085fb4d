"""The explorer in a real browser: text, sound, video, picture and conversation."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call
from media import RUNS, TINY

import s2s_plugin
from s2s_plugin.server.app import create_app
from s2s_plugin.server.serve import listen

playwright = pytest.importorskip("playwright.sync_api", reason="requires playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="requires Chromium")]

PAINTED = (
    "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
    ".data.some((value, place) => place % 4 < 3 && value > 0)"
)
REFUSED = "status of 422"  # Chromium notes it
FAKE_MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def chatbot(folder: Path) -> Path:
    """A packaged chatbot of a few updates."""
    draw = random.Random(1)
    turns = [" ".join(draw.choices(["how", "are", "you", "what", "now", "well"], k=3)) for _ in range(400)]
    (folder / "my.txt").write_text("".join(f"{turn}\n" + "\n" * (n % 4 == 3) for n, turn in enumerate(turns)))
    data = "data=dialogues data.dialogues=my.txt subword.kind=word subword.size=20"
    call(f"s2s run app=chatbot {data} {TINY}", cwd=folder)
    call("s2s export runs/chatbot/default --to bot.s2s", cwd=folder)
    return folder / "bot.s2s"


@pytest.fixture(scope="module")
def address(small_model: Path, media_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this process with a model of each kind."""
    import uvicorn

    paths = {modality: next(folder.glob("runs/*/default")) for modality, folder in media_runs.items()}
    paths |= {"text": small_model / "runs/nmt/default", "bot": chatbot(tmp_path_factory.mktemp("chat"))}
    before = Path.cwd()
    os.chdir(small_model)  # its run names the folder of its data
    app = create_app({name: s2s_plugin.load(path) for name, path in paths.items()})
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()
    os.chdir(before)


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_MICROPHONE])
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: playwright.Browser, address: str) -> Iterator[playwright.Page]:
    """The page, on a screen of this many pixels; at the end, that it has had no problem and stays at home."""
    problems, own = list[str](), (address, "blob:", "data:")
    size, scheme = {"width": request.param, "height": 800}, "dark" if request.param < 400 else "light"
    context = browser.new_context(viewport=size, color_scheme=scheme, permissions=["microphone"])
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda each: problems.append(each.text) if REFUSED not in each.text else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda each: problems.append(each.url) if not each.url.startswith(own) else None)
    page.goto(address)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param, "wider than the screen"
    context.close()
    assert problems == []


def choose(page: playwright.Page, model: str) -> None:
    page.get_by_label("Model").select_option(model)


def force_another_token(page: playwright.Page, place: int = 0) -> None:
    """Choose a token and force the second likeliest in its place; check that the output begins with it."""
    tokens = page.get_by_role("group", name="Tokens of the output").get_by_role("button")
    before = tokens.all_inner_texts()
    tokens.nth(place).click()
    assert tokens.nth(place).get_attribute("aria-expanded") == "true"
    button = page.locator(".alternatives li button:not(:disabled)").first
    name = button.locator(".name").inner_text().removesuffix(" joined to the word before")
    button.click()
    page.locator(".token.forced").nth(place).wait_for()
    assert tokens.all_inner_texts()[: place + 1] == [*before[:place], name]
    page.locator(".token:not(.forced), .token.end").first.wait_for()


def test_text(page: playwright.Page, small_model: Path):
    choose(page, "text")
    page.get_by_label("Text", exact=True).fill("a b c d")
    page.keyboard.press("Enter")
    expected = s2s_plugin.load(small_model / "runs/nmt/default").outputs(["a b c d"], nbest=3)[0]
    page.locator(".output").first.wait_for()
    assert page.locator(".output .text").all_inner_texts() == [each.text for each in expected]
    tokens = page.get_by_role("group", name="Tokens of the output").get_by_role("button")
    assert tokens.count() == len(expected[0].tokens)
    assert page.locator(".lines line").count() > 3
    page.get_by_text("Heat map").click()
    cells = page.get_by_role("region", name="Attention weights").locator("td span").all_inner_texts()
    assert len(cells) == len(expected[0].tokens) * len(expected[0].source_tokens)
    assert sum(map(float, cells)) == pytest.approx(len(expected[0].tokens), abs=0.01 * len(cells))
    page.locator(".output").nth(1).click()
    assert tokens.count() == len(expected[1].tokens)
    force_another_token(page, 1)
    assert page.locator(".heat").is_visible(), "the view stays"


def test_the_beam_and_the_options(page: playwright.Page):
    choose(page, "text")
    page.get_by_label("Text", exact=True).fill("a b c d")
    page.get_by_role("button", name="Go").click()
    page.locator(".lattice .node").first.wait_for()
    node = page.locator(".lattice .node:not(.best, .ended)").first
    name = node.locator("span").inner_text()
    node.click()
    page.locator(".token.forced").first.wait_for()
    assert page.locator(".token.forced").all_inner_texts()[-1] == name
    page.get_by_text("Search options").click()
    page.get_by_label("Outputs best of the beam").fill("1")
    page.get_by_label("Beam hypotheses at a time").fill("2")
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".output")).to_have_count(1)
    assert not page.locator(".token.forced").count()
    page.get_by_label("Sample draw").check()
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Beam hypotheses at a time").fill("99")
    assert not page.locator("form.input").evaluate("form => form.checkValidity()")


def test_the_keyboard_alone(page: playwright.Page):
    choose(page, "text")
    page.get_by_label("Text", exact=True).focus()
    page.keyboard.type("a b c")
    page.keyboard.press("Enter")
    page.locator(".token").first.wait_for()
    page.locator(".token").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator(".token").nth(1).get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert page.locator(".alternatives").is_hidden()
    assert page.locator(".token").nth(1).evaluate("each => each === document.activeElement")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".token.forced").first.wait_for()
    page.locator(".lines .target span").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("line.marked").count()
    page.keyboard.press("Tab")
    assert page.locator(".lattice .node").nth(0).evaluate("each => each === document.activeElement")
    page.locator(".lattice .node").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".lattice .node").nth(0).evaluate("each => each !== document.activeElement")


def test_training_pairs(page: playwright.Page):
    choose(page, "text")
    page.get_by_label("Text", exact=True).fill("a b c d")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Look them up").click()
    page.locator("section.part", has_text="Nearest").locator("tbody tr").first.wait_for()


@pytest.mark.parametrize("modality", RUNS)
def test_files(page: playwright.Page, media_runs: dict[str, Path], modality: str):
    choose(page, modality)
    file = next(iter(sorted((media_runs[modality] / "media").iterdir())))
    page.locator("input[name=file]").set_input_files(file)
    page.locator(".signal canvas").first.wait_for()
    assert page.locator(".signal canvas").first.evaluate(PAINTED)
    page.locator(".token").first.click()
    assert page.locator(".signal [aria-pressed=true]").count() == 1
    page.get_by_text("Numbers").click()
    page.locator(".signal table").wait_for()
    force_another_token(page, 1)


def test_a_file_that_is_none(page: playwright.Page, tmp_path: Path):
    choose(page, "image")
    (tmp_path / "no.png").write_text("nothing")
    page.locator("input[name=file]").set_input_files(tmp_path / "no.png")
    page.locator(".status.problem").wait_for()
    assert page.locator(".status").inner_text().startswith("the file: not an image")


def test_the_microphone(page: playwright.Page):
    choose(page, "audio")
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop").wait_for()
    time.sleep(1.5)
    page.get_by_role("button", name="Stop").click()
    page.locator(".spectrogram canvas").first.wait_for()
    assert page.locator(".axis").inner_text().split()[-2] > "0.8"


def test_a_conversation(page: playwright.Page):
    choose(page, "bot")
    for number, turn in enumerate(("how are you", "what now"), start=1):
        page.get_by_label("Your turn").fill(turn)
        page.get_by_role("button", name="Send").click()
        page.locator(".log .bot").nth(number - 1).wait_for()
        assert page.locator(".log .you").count() == number
    page.get_by_role("button", name="Begin again").click()
    assert not page.locator(".log li").count()
