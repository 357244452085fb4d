"""What a GPU needs of the search, as far as a CPU can show it."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from s2s_plugin.errors import UserError
from s2s_plugin.models.memory import Memory
from s2s_plugin.search import beam as beam_module
from s2s_plugin.search import graphs
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.build import own_search
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig
from tests.search.conftest import dictionary_of

LENGTHS = [9, 4, 7, 1, 12, 3, 5, 8]
MODELS = [
    {},
    {"attention": "additive", "coverage": "sum"},
    {"decoder_type": "gnmt", "decoder_layers": 2},
    {"pointer": True},
    {"encoder_layers": 2, "decoder_layers": 2, "decoder_hidden_size": 16},
]


@pytest.fixture
def dictionary():
    return dictionary_of(12)


def check_same(found: list[list[dict]], others: list[list[dict]]) -> None:
    for mine, theirs in zip(found, others, strict=True):
        assert [h["tokens"].tolist() for h in mine] == [h["tokens"].tolist() for h in theirs]
        for field in ("score", "attention"):
            torch.testing.assert_close([h[field] for h in mine], [h[field] for h in theirs], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", MODELS)
@pytest.mark.parametrize("beam", [1, 4])
def test_steps_at_fixed_places_give_the_same(build, batch, dictionary, options, beam):
    """Outputs of a step are overwritten by the next one, sentences stay for a while, memories are longer."""
    model = build(**options)
    asked = BeamOptions(beam=beam, max_len_b=20, print_alignment="soft")
    plain = BeamSearch([model], dictionary, asked)
    fixed = BeamSearch([model], dictionary, asked, None, None, True)
    for seed in range(3):  # the second batch finds places that the first has left
        sample = batch(LENGTHS, seed)
        check_same(fixed.generate([model], sample), plain.generate([model], sample))
    assert fixed.graphs is not None and 0 < len(fixed.graphs.kept) <= graphs.KEPT


def test_a_shape_that_comes_again_is_not_captured_again(build, batch, dictionary):
    model = build()
    search = BeamSearch([model], dictionary, BeamOptions(beam=2, max_len_b=6, min_len=5), None, None, True)
    for longest in (3, 9, 16):  # all become 16 steps
        search.generate([model], batch([longest, 2]))
    assert search.graphs is not None and len(search.graphs.kept) == 1
    search.generate([model], batch([17, 2]))
    assert len(search.graphs.kept) == 2


def test_the_shapes_that_came_last_are_kept(build, batch, dictionary, monkeypatch):
    monkeypatch.setattr(graphs, "KEPT", 2)
    model = build()
    search = BeamSearch([model], dictionary, BeamOptions(beam=2, max_len_b=6, min_len=5), None, None, True)
    for sentences in (1, 2, 1, 3):
        search.generate([model], batch([5] * sentences))
    assert search.graphs is not None
    assert [shape[-1][0] for shape in search.graphs.kept] == [(1, 2), (3, 2)]


@pytest.mark.parametrize("options", MODELS)
def test_a_step_looks_at_no_number(build, batch, dictionary, options):
    """What would make a GPU wait, and cannot be captured: pretended tensors have none."""
    model = build(**options)
    search = BeamSearch([model], dictionary, BeamOptions(beam=3))
    net_input = batch(LENGTHS)["net_input"]
    with torch.no_grad():
        memory = model.encode(net_input["src_tokens"], net_input["src_lengths"])
        state = model.decoder.rnn.initial_state(memory).reorder(torch.arange(len(LENGTHS)).repeat_interleave(3))

    def pretend(tensor):
        return None if tensor is None else torch.empty(tensor.shape, dtype=tensor.dtype)

    with FakeTensorMode(), torch.no_grad():
        for module in model.modules():
            for name, parameter in list(module._parameters.items()):
                module._parameters[name] = None if parameter is None else torch.nn.Parameter(pretend(parameter))
            for name, buffer in list(module._buffers.items()):
                module._buffers[name] = pretend(buffer)
        memory, state = Memory._make(map(pretend, memory)), type(state)._make(map(pretend, state))
        last = torch.empty(len(LENGTHS), 3, dtype=torch.long)
        _, scores, _ = search._step([model], [state], [memory], last)
        assert scores.shape == (*last.shape, len(dictionary))
        with pytest.raises(DataDependentOutputException):
            bool(scores.sum() > 0)


class Looks(TorchDispatchMode):
    """Counts what a GPU would have to be waited for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        self.count += "_local_scalar_dense" in name or "nonzero" in name or "masked_select" in name
        return function(*args, **(kwargs or {}))


def test_steps_between_looks_wait_for_nothing(build, batch, dictionary, monkeypatch):
    """The search looks for finished sentences every so many steps, and at nothing else."""
    model = build(end=-20.0)  # no sentence ends early
    looks = {}
    for gap in (4, 8):
        monkeypatch.setattr(beam_module, "CHECK", {"cpu": gap})
        for steps in (8, 24):
            search = BeamSearch([model], dictionary, BeamOptions(beam=3, max_len_b=steps - 1))
            with Looks() as mode:
                search.generate([model], batch(LENGTHS))
            looks[gap, steps] = mode.count
    assert looks[4, 24] - looks[4, 8] == 2 * (looks[8, 24] - looks[8, 8]) > 0


def test_what_cannot_be_is_refused(build, dictionary, tmp_path):
    task = Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path), search_graphs=True), dictionary, dictionary)
    with pytest.raises(UserError, match="is for GPUs"):
        own_search(task, [build()], BeamOptions())
