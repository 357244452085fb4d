"""Requests that wait are decoded together, each with its own options; none is lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

import s2s_plugin
from s2s_plugin.errors import UserError
from s2s_plugin.server.batching import Batcher, Closed, QueueFull

LINES = ["a b c", "d e f g", "h g", "c c d"]


@pytest.fixture(scope="module")
def model(small_model: Path) -> s2s_plugin.Model:
    return s2s_plugin.load(small_model / "runs/nmt/default")


def test_clients_get_their_own_outputs(model: s2s_plugin.Model):
    batcher = Batcher(model)
    results: dict[int, list] = {}

    def ask(number: int) -> None:
        options = {"beam": 1 + number % 3, "nbest": 1}
        results[number] = [each.result()[0].text for each in batcher.submit(LINES[number % 4 :], options)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert results == {number: model.translate(LINES[number % 4 :], beam=1 + number % 3) for number in range(40)}


def test_those_that_wait_are_one_batch(model: s2s_plugin.Model, monkeypatch: pytest.MonkeyPatch):
    """The model itself decodes; its batches are counted on the way."""
    sizes, decode = [], model.outputs

    def outputs(sources, **options):
        sizes.append(len(sources))
        if len(sizes) == 1:
            first.set()
            others.wait(10)
        return decode(sources, **options)

    monkeypatch.setattr(model, "outputs", outputs)
    first, others = threading.Event(), threading.Event()
    batcher = Batcher(model, max_batch=6)
    futures = batcher.submit(["a"], {"nbest": 1})
    first.wait(10)
    for line in LINES * 2:
        futures += batcher.submit([line], {"nbest": 1})
    futures += batcher.submit(["a b"], {"nbest": 1, "beam": 2})
    others.set()
    wait(futures)
    assert sizes == [1, 6, 2, 1]
    batcher.close()


def test_words_that_must_be_in_it_and_one_that_cannot(model: s2s_plugin.Model):
    batcher = Batcher(model)
    good, bad = batcher.submit(["a b", "c d"], {"nbest": 1}, [["H"], ["\u2603"]])
    assert "H" in good.result()[0].text.split()
    with pytest.raises(UserError, match="target vocabulary"):
        bad.result()
    batcher.close()


def test_a_full_queue_refuses_and_a_closed_one_too(model: s2s_plugin.Model):
    batcher = Batcher(model, max_waiting=3)
    with pytest.raises(QueueFull):
        batcher.submit(LINES, {"nbest": 1})
    (last,) = batcher.submit(["a b"], {"nbest": 1})
    batcher.close()
    assert last.result()[0].text == model.translate("a b")
    with pytest.raises(Closed):
        batcher.submit(["a"], {"nbest": 1})


def test_draws_do_not_depend_on_other_clients(model: s2s_plugin.Model):
    options = {"nbest": 1, "sampling": True, "seed": 3, "beam": 1}
    alone = [[output.text for (output,) in model.outputs(lines, **options)] for lines in (LINES[:2], LINES)]
    batcher = Batcher(model)
    others = [batcher.submit(lines, dict(options)) for lines in (LINES[:2], LINES)]
    assert [[future.result()[0].text for future in futures] for futures in others] == alone
    batcher.close()


def test_a_batch_that_nobody_waits_for_ends(model: s2s_plugin.Model):
    """The search would take long; the next one begins at once."""
    batcher = Batcher(model)
    long = batcher.submit(["a b c d e f g h " * 100] * 8, {"nbest": 1, "beam": 20})
    while batcher.waiting:
        time.sleep(0.001)
    began = time.monotonic()
    assert all(future.cancel() for future in long)
    (other,) = batcher.submit(["a b"], {"nbest": 1})
    assert other.result()[0].text == model.translate("a b")
    stopped = time.monotonic() - began
    began = time.monotonic()
    model.outputs(["a b c d e f g h " * 100] * 8, beam=20)
    assert time.monotonic() - began > 2 * stopped
    batcher.close()
