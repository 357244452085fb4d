"""Small models with peaked scores, for the tests of this folder."""

from __future__ import annotations

import pytest
import torch
from fairseq.data import Dictionary

from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.search.beam import BeamSearch
from s2s_plugin.search.diverse import DiverseBeamSearch
from s2s_plugin.search.options import BeamOptions
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig


def dictionary_of(size: int) -> Dictionary:
    dictionary = Dictionary()
    for index in range(dictionary.nspecial, size):
        dictionary.add_symbol(f"w{index}")
    return dictionary


@pytest.fixture
def build(tmp_path):
    """``build(vocabulary, seed, end=...)``: random weights, scaled for peaked scores and a likely </s>."""

    def build(
        vocabulary: int = 12,
        seed: int = 0,
        peak: float = 4.0,
        end: float = 1.0,
        longest: int = 100,
        **options,
    ) -> Seq2SeqModel:
        torch.manual_seed(seed)
        small = {
            "encoder_embed_dim": 8,
            "encoder_hidden_size": 8,
            "decoder_embed_dim": 8,
            "decoder_hidden_size": 8,
            "dropout": 0.1,  # the search must switch it off
            "max_source_positions": 100,
            "max_target_positions": longest,
        }
        task = Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path)), dictionary_of(14), dictionary_of(vocabulary))
        model = Seq2SeqModel.build_model(Seq2SeqConfig(**(small | options)), task)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2)
            generator = model.decoder.generator.output
            generator.weight.mul_(peak)
            generator.bias.normal_()
            generator.bias[task.target_dictionary.eos()] += end
        return model

    return build


@pytest.fixture
def batch():
    """``batch(source lengths, seed)``: a batch in fairseq's shape."""

    def batch(lengths: list[int], seed: int = 0) -> dict:
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.randint(4, 14, (len(lengths), max(lengths)), generator=generator)
        for row, length in enumerate(lengths):
            tokens[row, length - 1] = 2
            tokens[row, length:] = 1
        net_input = {"src_tokens": tokens, "src_lengths": torch.tensor(lengths)}
        return {"id": torch.arange(len(lengths)), "nsentences": len(lengths), "net_input": net_input}

    return batch


def alone(sample: dict, row: int) -> dict:
    """A sentence of a batch by itself, without padding."""
    net_input, length = sample["net_input"], int(sample["net_input"]["src_lengths"][row])
    source = net_input["src_tokens"][row : row + 1, :length]
    return {"id": torch.tensor([row]), "net_input": {"src_tokens": source, "src_lengths": torch.tensor([length])}}


def next_scores(model, sample: dict, written: list[int]) -> torch.Tensor:
    """log P of each token after ``written`` in a batch of one, by teacher forcing."""
    model.eval()
    net_input, eos = sample["net_input"], 2
    with torch.no_grad():
        logits, _ = model(net_input["src_tokens"], net_input["src_lengths"], torch.tensor([[eos, *written]]))
    return logits[0, -1].log_softmax(0)


@pytest.fixture
def search():
    """``search(models, sample, prefix=None, forced=None, **options)``: our hypotheses; forced: packed constraints."""

    def search(models, sample: dict, prefix=None, forced=None, **options) -> list[list[dict]]:
        models = models if isinstance(models, list) else [models]
        kind = DiverseBeamSearch if "diverse_beam_groups" in options else BeamSearch
        built = kind(models, models[0].decoder.dictionary, BeamOptions(**options))
        return built.generate(models, sample, prefix_tokens=prefix, constraints=forced)

    return search
