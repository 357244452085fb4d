"""``s2s live`` and ``live=true``: a page of a training, which it does not change."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from command_line import call, start
from report_run import Page as ParsedPage
from report_run import inner, squeeze, valid, write_run

from s2s_plugin.inference.run_dir import RunDir
from s2s_plugin.inference.translator import Translator
from s2s_plugin.live import serve as live
from s2s_plugin.live.machine import gpu_text, machine_use
from s2s_plugin.live.page import Page, seconds_left
from s2s_plugin.live.samples import Sampler, Snapshot
from s2s_plugin.report.log import Curves
from s2s_plugin.utils.untrusted import load_yaml


def get(port: int, path: str = "/", host: str | None = None) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read().decode()


@pytest.fixture(scope="module")
def page(small_model: Path) -> Page:
    """The page of a finished run, with what its last checkpoint does."""
    run = RunDir(small_model / "runs/nmt/default")
    options = load_yaml(run.config)
    options["task"]["data"] = str(run.data)
    sampler = Sampler(run, options)
    sampler.update()
    assert sampler.problem == ""
    return Page(run, options, sampler)


@pytest.fixture(scope="module")
def port(page: Page) -> Iterator[int]:
    with served(page) as number:
        yield number


@contextmanager
def served(page: Page) -> Iterator[int]:
    """Serve a page; the port."""
    server = live.Server(live.listen(0), page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_outputs_are_those_of_the_last_checkpoint(page: Page):
    (snapshot,) = page.sampler.snapshots
    assert snapshot.updates == 150 and len(snapshot.samples) == 3
    run = page.run
    translator = Translator(run.checkpoints / "checkpoint_last.pt", page.sampler.generation, data=run.data, cpu=True)
    lines = (run.data / "text/valid.en").read_text().splitlines()
    for sample in snapshot.samples:
        assert sample.source in lines and len(sample.references) == 1
        assert sample.output == translator.translate([sample.source])[0].text
        assert sample.attention is not None
        assert sample.attention.attention.shape == (len(sample.output.split()) + 1, len(sample.source.split()) + 1)
    page.sampler.update()
    assert len(page.sampler.snapshots) == 1  # nothing new


def test_moving_averages_decode_if_they_are_validated(page: Page, tmp_path: Path):
    run = RunDir(tmp_path / "run")
    shutil.copytree(page.run.folder, run.folder)
    last = run.checkpoints / "checkpoint_last.pt"
    state = torch.load(last, weights_only=True)
    state["extra_state"]["ema"] = state["model"]
    state["model"] = {name: torch.zeros_like(weights) for name, weights in state["model"].items()}
    torch.save(state, last)
    sampler = Sampler(run, {**page.options})
    sampler.update()
    assert [each.output for each in sampler.snapshots[0].samples] == [
        each.output for each in page.sampler.snapshots[0].samples
    ]
    last.write_bytes(b"no checkpoint")
    sampler.update()
    assert len(sampler.snapshots) == 1 and sampler.problem.startswith(str(last))


def test_the_page_has_curves_figures_and_attention(page: Page, port: int):
    status, headers, text = get(port)
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    parsed = ParsedPage(text)
    words = squeeze(parsed.text)
    for part in ("Updates150 of 150", "Learning rate", "Loss", "Perplexity", "After 150 updates", "tokens/s"):
        assert part in words
    sample = page.sampler.snapshots[0].samples[0]
    assert sample.source in words and sample.references[0] in words
    assert parsed.attributes("script", "src") == ["live.js"]
    assert parsed.attributes("script", "type") == ["module"]
    assert sum("--a:" in style for style in parsed.attributes("td", "style")) == sum(
        each.attention.attention.size for each in page.sampler.snapshots[0].samples if each.attention
    )
    _, _, script = get(port, "/live.js")
    assert script.startswith("// Keep the page at the state of the training")


def test_nobody_else_reads_it(port: int):
    assert get(port, host="evil.example:8008")[0] == 403
    assert get(port, host=f"localhost:{port}")[0] == 200  # also by ssh -L
    for path in ("/config.yaml", "/../config.yaml", "/%2e%2e/log.txt"):
        assert get(port, path)[0] == 404
    assert get(port, f"/?at={'9' * 5000}")[0] == 200


def test_nothing_is_said_of_a_browser_that_leaves(port: int, capfd: pytest.CaptureFixture):
    with socket.create_connection(("127.0.0.1", port)) as leaving:
        leaving.sendall(b"GET")
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
    while any(thread.name.endswith("(process_request_thread)") for thread in threading.enumerate()):
        time.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_no_obstacle():
    with live.listen() as one, live.listen() as other:
        ports = {each.getsockname()[1] for each in (one, other)}
        assert len(ports) == 2 and all(each.getsockname()[0] == "127.0.0.1" for each in (one, other))


def test_earlier_checkpoints_can_be_chosen(page: Page):
    earlier, latest = page.sampler.snapshots[0], page.sampler.snapshots[0]
    sampler = Sampler(page.run, {**page.options})
    sampler.snapshots = [Snapshot(number, earlier.samples) for number in range(10, 100, 10)] + [latest]
    shown = Page(page.run, page.options, sampler)
    assert "After 150 updates" in squeeze(ParsedPage(shown.render()).text)
    words = squeeze(ParsedPage(shown.render(at=2)).text)
    assert "After 20 updates" in words and "10 updates" in words and "30 updates" not in words
    words = squeeze(ParsedPage(shown.render(at=10)).text)
    updates = [int(number) for number in re.findall(r"(\d+) updates", words.partition("After 150 updates")[2])]
    assert updates == [10, 20, 40, 60, 80, 150] * 3


def test_a_run_that_has_written_little(tmp_path: Path):
    """No samples, and a log that is cut short."""
    folder = write_run(tmp_path)
    run = RunDir(folder)
    groups = {"generation": {}, "dataset": {"valid_subset": "valid"}, "task": {"_name": "s2s", "data": "absent"}}
    options = {**load_yaml(run.config), **groups}
    page = Page(run, options, Sampler(run, options))
    words = squeeze(ParsedPage(page.render()).text)
    assert "toy & co" in words and "They begin with the first checkpoint." in words and "Updates200" in words
    run.log.unlink()
    assert "They begin with the first lines of the log." in squeeze(ParsedPage(page.render()).text)
    page.ended = True
    assert "data-ended" in page.render()


def test_the_time_that_is_left():
    curves = Curves()
    for updates, wall in ((50, 10.0), (100, 20.0), (150, 40.0)):
        record = json.loads(inner(updates, 5.0)) | {"wall": str(wall), "lr": "0.001"}
        curves.add(record)
    assert seconds_left(curves, 250) == pytest.approx(100 * 30 / 100)
    assert seconds_left(curves, 150) == 0
    assert seconds_left(curves, 0) is None
    curves.add(json.loads(valid(150, 4.0, 5.0)))
    curves.add(json.loads(inner(100, 5.0)) | {"wall": "50"})  # went on from an earlier checkpoint
    assert set(curves.pace["wall"]) == {50, 100}


def test_what_is_known_of_the_machine():
    assert re.fullmatch(r"load [\d.]+ on \d+ cores", machine_use()["Processors"])
    assert gpu_text("93, 11264, 143771, 61") == "93 % busy, 11.0 of 140.4 GiB, 61 °C"


def test_mistakes_are_one_line(tmp_path: Path, small_model: Path):
    done = call("s2s live runs/nmt/absent", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr == "s2s: error: runs/nmt/absent: not the folder of a run such as runs/nmt/default\n"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        done = call(f"s2s live runs/nmt/default --port {number}", cwd=small_model, check=False)
    assert done.returncode == 2 and f"--port {number}: cannot listen there" in done.stderr


@pytest.mark.slow  # a browser
def test_a_browser_follows_the_training(page: Page):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    sampler = Sampler(page.run, {**page.options})
    (snapshot,) = sampler.snapshots = page.sampler.snapshots
    growing, errors = Page(page.run, page.options, sampler), []
    with served(growing) as port, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        tab.on("console", lambda message: errors.append(message.text))
        tab.goto(f"http://127.0.0.1:{port}/")
        tab.get_by_text("Attention of No.").nth(1).click()  # stays open
        sampler.snapshots = [snapshot, Snapshot(160, snapshot.samples)]
        tab.get_by_text("After 160 updates").wait_for()
        assert tab.locator("details[open]").count() == 2
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
        tab.locator("#at").press("Home")
        tab.get_by_text("After 150 updates").wait_for()
        sampler.snapshots.append(Snapshot(170, snapshot.samples))
        tab.locator("#at[max='3']").wait_for()
        assert tab.get_by_text("After 150 updates").is_visible()  # the earlier one is still looked at
        assert errors == []
        tab.context.set_offline(True)
        tab.locator("#gone").wait_for()
        tab.context.set_offline(False)
        tab.locator("#gone").wait_for(state="hidden")  # it goes on
        growing.ended = True
        tab.get_by_text("The training has ended.").first.wait_for()
        browser.close()


@pytest.mark.slow  # a training
def test_a_training_with_its_page_learns_the_same(small_model: Path, small_settings: str):
    train = f"s2s train {small_settings} name=live live=true checkpoint.save_interval_updates=20"
    with tempfile.TemporaryFile() as stderr:
        process = start(train, cwd=small_model, stderr=stderr)
        match = text = None
        while process.poll() is None:
            stderr.seek(0)
            match = match or re.search(rb"live page: http://127.0.0.1:(\d+)/", stderr.read())
            if match:
                text = get(int(match[1]))[2]
            time.sleep(0.2)
        assert process.wait(0) == 0
    assert match and text and "Updates" in text
    ours, theirs = (small_model / "runs/nmt" / name / "checkpoints/checkpoint_last.pt" for name in ("live", "default"))
    state, other = (torch.load(path, weights_only=True)["model"] for path in (ours, theirs))
    assert all(torch.equal(weights, other[name]) for name, weights in state.items())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            text = get(int(match[1]))[2]
        except OSError:
            break
        time.sleep(0.2)
    assert "data-ended" in text  # then it was gone
    with pytest.raises(OSError, match="refused"):
        get(int(match[1]))
