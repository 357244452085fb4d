"""Small real models for the tests of this folder."""

from __future__ import annotations

import pytest
import torch
from fairseq.data import Dictionary

from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig


def dictionary_of(size: int, prefix: str = "w") -> Dictionary:
    """Return a dictionary of ``size`` tokens, fairseq's four special ones first."""
    dictionary = Dictionary()
    for index in range(dictionary.nspecial, size):
        dictionary.add_symbol(f"{prefix}{index}")
    return dictionary


@pytest.fixture
def build(tmp_path):
    """``build(source=, target=, seed=, **options of Seq2SeqConfig)``: a model in evaluation mode."""

    def build(source: int = 13, target: int = 11, seed: int = 0, joint: bool = False, **options) -> Seq2SeqModel:
        torch.manual_seed(seed)
        small = {
            "encoder_embed_dim": 6,
            "encoder_hidden_size": 8,
            "decoder_embed_dim": 5,
            "decoder_hidden_size": 7,
            "dropout": 0.0,
            "max_source_positions": 100,
            "max_target_positions": 100,
        }
        dictionaries = (
            dictionary_of(source),
            dictionary_of(source if joint else target, "w" if joint else "v"),
        )
        task = Seq2SeqTask(Seq2SeqTaskConfig(data=str(tmp_path)), *dictionaries)
        return Seq2SeqModel.build_model(Seq2SeqConfig(**(small | options)), task).eval()

    return build


@pytest.fixture
def batch():
    """``batch(model, source lengths, target length)``: src_tokens, src_lengths, prev_output_tokens."""

    def batch(model: Seq2SeqModel, lengths: list[int], target_length: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        source, target = model.encoder.dictionary, model.decoder.dictionary
        tokens = torch.randint(4, len(source), (len(lengths), max(lengths)), generator=generator)
        for row, length in enumerate(lengths):
            tokens[row, length - 1] = source.eos()
            tokens[row, length:] = source.pad()
        previous = torch.randint(4, len(target), (len(lengths), target_length), generator=generator)
        previous[:, 0] = target.eos()
        return tokens, torch.tensor(lengths), previous

    return batch
