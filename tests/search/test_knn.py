"""Neighbors of decoder states: the datastore, its index, the mixture, and a search with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s2s_plugin.errors import UserError
from s2s_plugin.search.build import build_search
from s2s_plugin.search.knn import datastore as module
from s2s_plugin.search.knn.datastore import Datastore, write_datastore
from s2s_plugin.search.knn.generator import NeighborGenerator
from s2s_plugin.search.options import BeamOptions
from tests.search.conftest import alone

PAIRS = 60


@pytest.fixture
def made(build, tmp_path: Path):
    """A model, and a datastore of random targets with random states of the width of its features."""
    model = build(seed=3, peak=1).eval()
    draw = torch.Generator().manual_seed(1)
    targets = [
        torch.cat((torch.randint(4, 12, (length,), generator=draw), torch.tensor([2])))
        for length in torch.randint(1, 9, (PAIRS,), generator=draw).tolist()
    ]
    states = [(number, torch.rand(len(each), 8, generator=draw) * 2 - 1) for number, each in enumerate(targets)]
    sources = [f"source {number}" for number in range(PAIRS)]
    return model, targets, states, write_datastore(tmp_path / "store", model, targets, states[::-1], sources)


def test_what_is_written_is_read(made):
    _, targets, states, store = made
    assert store.values.tolist() == torch.cat(targets).tolist()
    keys = torch.cat([features for _, features in states]).numpy()
    np.testing.assert_array_equal(store.keys, keys.astype(np.float16))
    assert store.variance == pytest.approx(((keys - keys.mean(0)) ** 2).sum(1).mean(), rel=1e-5)
    row = int(store.starts[7]) + len(targets[7]) - 1
    assert store.place(row) == (7, len(targets[7]) - 1)
    assert torch.equal(store.target(7), targets[7])
    assert store.read_sources()[7] == "source 7"


def test_nearest_are_those_of_a_computation_by_hand(made, monkeypatch: pytest.MonkeyPatch):
    """Also block by block, and if more are required than there are."""
    store, queries = made[3], torch.rand(5, 8) * 2 - 1
    expected = ((store.keys[None].astype(np.float64) - queries.numpy()[:, None]) ** 2).sum(2)
    for block in (7, 10_000):
        monkeypatch.setattr(module, "BLOCK", block)
        distances, rows = store.nearest(queries, 6)
        np.testing.assert_allclose(distances, np.sort(expected, 1)[:, :6], rtol=1e-5)
        np.testing.assert_allclose(np.take_along_axis(expected, rows.numpy(), 1), distances, rtol=1e-5)
    assert store.nearest(queries, 10**6)[0].shape == (5, len(store.values))


def test_an_index_finds_nearly_the_same(build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "MIN_INDEXED", 1000)
    model, draw = build(), torch.Generator().manual_seed(1)
    targets, centers = [torch.full((50,), 4)] * 80, torch.randn(20, 8, generator=draw)
    states = [(n, centers[n % 20] + 0.3 * torch.randn(50, 8, generator=draw)) for n in range(80)]
    store = write_datastore(tmp_path / "store", model, targets, states, None)
    assert store.index is not None and store.read_sources() is None
    queries = torch.cat([features[:2] for _, features in states]) + 0.1
    distances, rows = store.nearest(queries, 8)
    store.index = None
    exact, exact_rows = store.nearest(queries, 8)
    same = [len(set(one) & set(other)) / 8 for one, other in zip(rows.tolist(), exact_rows.tolist(), strict=True)]
    assert np.mean(same) > 0.9
    torch.testing.assert_close(distances[:, 0], exact[:, 0])  # distances are those of the keys, not of the index


def test_the_mixture_is_that_of_the_paper(made):
    store, logits, features = made[3], torch.randn(3, 12), torch.rand(3, 8)
    options = BeamOptions(knn_neighbors=5, knn_weight=0.3, knn_temperature=0.2)
    got = NeighborGenerator(lambda *_: logits, store, options)(features, None, None)
    distances, rows = store.nearest(features, 5)
    for row in range(3):
        expected = 0.7 * logits[row].softmax(0)
        weights = (-distances[row] / store.variance / 0.2).exp()
        for state, weight in zip(rows[row].tolist(), (weights / weights.sum()).tolist(), strict=True):
            expected[store.values[state]] += 0.3 * weight
        torch.testing.assert_close(got[row].exp(), expected)


def test_a_search_with_it_does_not_depend_on_the_batch_and_weight_0_changes_nothing(made, batch):
    model, _, _, store = made
    sample, dictionary = batch([4, 9, 2, 7]), model.decoder.dictionary

    def tokens(sample: dict, store: Datastore | None, **options) -> list[list[list[int]]]:
        search = build_search([model], dictionary, BeamOptions(beam=3, max_len_b=8, **options), datastore=store)
        return [[each["tokens"].tolist() for each in hypotheses] for hypotheses in search.generate([model], sample)]

    together, plain = tokens(sample, store), tokens(sample, None)
    assert together != plain == tokens(sample, store, knn_weight=0.0)
    assert together == [tokens(alone(sample, row), store)[0] for row in range(4)]


def test_refusals(made, build, tmp_path: Path):
    model, _, _, store = made
    dictionary, other = model.decoder.dictionary, build(seed=4)
    with pytest.raises(UserError, match=r"task\.knn requires a single model, got 2"):
        build_search([model, model], dictionary, BeamOptions(), datastore=store)
    with pytest.raises(UserError, match="of another model"):
        build_search([other], dictionary, BeamOptions(), datastore=store)
    with pytest.raises(UserError, match="no datastore; make one"):
        Datastore(tmp_path / "none")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="exists and is no datastore"):
        write_datastore(tmp_path / "mine", model, [], [], None)
    with (store.folder / "keys.npy").open("r+b") as file:
        file.seek(-5, 2)
        file.write(b"12345")
    with pytest.raises(UserError, match=r"keys\.npy: damaged"):
        Datastore(store.folder)
    for name, value in (("knn_weight", 1.5), ("knn_neighbors", 0), ("knn_temperature", 0.0)):
        with pytest.raises(UserError, match=f"task.{name} must be"):
            BeamOptions(**{name: value})
