"""``bench/search_peers.py``: what it requests, and how it counts. The peers need environments of their own."""

from __future__ import annotations

import json
import os
from types import ModuleType

import pytest
from command_line import ROOT, call


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import search_peers

    return search_peers


@pytest.mark.slow
def test_workers_of_stock_and_ours_find_the_same_25_tokens():
    sources = [[20, 30, 40, 50], [7999, 11]]
    question = json.dumps({"sources": sources, "beam": 2}) + "\n"
    outputs = {}
    for name in ("stock lstm", "ours, fp32"):
        about, *answers = call(["python", "bench/peer_worker.py", name, "1"], stdin=question * 2).stdout.splitlines()
        assert json.loads(about)["parameters"] == pytest.approx(13.29e6, rel=1e-3)
        assert len(answers) == 2 and json.loads(answers[0])["seconds"] > 0
        outputs[name] = [json.loads(answer)["outputs"] for answer in answers]
        assert [len(output) for output in outputs[name][0]] == [25, 25]
    assert outputs["stock lstm"] == outputs["ours, fp32"]


def test_rounds_are_batches_of_sorted_sources_and_the_same_in_every_run(bench: ModuleType):
    for batch, batches in ((32, 1), (1, 8)):
        drawn, again = bench.rounds(batch), bench.rounds(batch)
        first, second = next(drawn), next(drawn)
        assert first != second and [first, second] == [next(again), next(again)]
        assert [len(sources) for sources in first] == [batch] * batches
        for sources in first:
            lengths = [len(source) for source in sources]
            assert lengths == sorted(lengths, reverse=True) and 8 <= lengths[-1] <= lengths[0] <= 24


def test_figures_are_medians_over_rounds_and_one_round_is_compared_with_all_of_stock(bench: ModuleType):
    twice = bench.figures([2.0, 1.0, 3.0], [4.0, 3.0, 3.0], 32)
    assert twice == {
        "sentences/s": 16.0,
        "seconds a round": 2.0,
        "ratio to stock": 2.0,
        "range": "1.00 to 3.00",
        "rounds": 3,
    }
    once = bench.figures([100.0], [4.0, 3.0, 2.0], 32)
    assert (once["ratio to stock"], once["range"], once["rounds"]) == (0.03, "0.02 to 0.04", 1)


def test_measure_runs_slow_systems_once_and_drops_what_fails(bench: ModuleType):
    class Worker:
        def __init__(self, seconds: float, right: bool = True):
            self.seconds, self.right, self.calls = seconds, right, 0

        def translate(self, batches: list, beam: int) -> float:
            self.calls += 1
            if not self.right:
                raise bench.Unavailable("its outputs are too long")
            return self.seconds

    workers = {"stock lstm": Worker(1.0), "slow": Worker(bench.SLOW_FACTOR + 1.0), "wrong": Worker(1.0, right=False)}
    seconds, missing = bench.measure(workers, 1, 5, deadline=0.0)
    assert seconds == {"stock lstm": [1.0] * bench.MIN_ROUNDS, "slow": [bench.SLOW_FACTOR + 1.0]}
    assert missing == {"wrong": "its outputs are too long"}
    assert [worker.calls for worker in workers.values()] == [bench.MIN_ROUNDS + 1, 1, 1]


@pytest.mark.slow  # it makes a virtual environment
def test_an_environment_that_cannot_be_built_is_named(bench: ModuleType, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(bench, "TORCH", "torch==0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # a machine's constraints would change what pip says
    with pytest.raises(bench.Unavailable) as caught:
        bench.build_environment("JoeyNMT")
    command, error = str(caught.value).split(": ", 1)
    assert command.startswith(f"{tmp_path}/JoeyNMT/bin/python -m pip") and command.endswith("subword-nmt==0.3.8")
    assert error == "ERROR: No matching distribution found for torch==0"
    assert not (tmp_path / "JoeyNMT" / "ready").exists()


def test_help_names_the_peers():
    text = call("bench/search_peers.py --help").stdout
    assert all(peer in text for peer in ("JoeyNMT", "OpenNMT-py", "Yoyodyne"))
