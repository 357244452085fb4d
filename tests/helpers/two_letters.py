"""Small models of a task of two letters, and their exact distributions."""

from __future__ import annotations

import torch
from omegaconf import OmegaConf

from s2s_plugin.criterions.minimum_risk import MinimumRiskConfig, MinimumRiskCriterion
from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.tasks.seq2seq import Seq2SeqTask

PAD, EOS = 1, 2
TOKENS = [0, 2, 3, 4, 5]  # all but padding
MAX_LEN = 3


def build_model(task: Seq2SeqTask, **options) -> Seq2SeqModel:
    torch.manual_seed(0)
    sizes = {"encoder_embed_dim": 6, "encoder_hidden_size": 8, "decoder_embed_dim": 5, "decoder_hidden_size": 7}
    limits = {"max_source_positions": 100, "max_target_positions": 100}
    model = Seq2SeqModel.build_model(Seq2SeqConfig(**(sizes | limits | options)), task)
    for parameter in model.parameters():  # sharper than at the start of a training
        parameter.data *= 2
    return model.train()


def build_criterion(task: Seq2SeqTask, **options) -> MinimumRiskCriterion:
    cfg = OmegaConf.structured(MinimumRiskConfig(sentence_avg=False, **options))
    return MinimumRiskCriterion.build_criterion(cfg, task)


def batch() -> dict:
    """Two sources and their targets, of different lengths."""
    return {
        "net_input": {
            "src_tokens": torch.tensor([[4, 5, 5, EOS], [5, EOS, PAD, PAD]]),
            "src_lengths": torch.tensor([4, 2]),
            "prev_output_tokens": torch.tensor([[EOS, 4, 5], [EOS, 5, PAD]]),
        },
        "target": torch.tensor([[4, 5, EOS], [5, EOS, PAD]]),
        "ntokens": 5,
    }


def all_targets(max_len: int) -> list[list[int]]:
    """Every sequence that ends with </s>, or has the maximum length without."""
    active, ended = [[]], []
    for _ in range(max_len):
        longer = [before + [token] for before in active for token in TOKENS]
        ended += [target for target in longer if target[-1] == EOS]
        active = [target for target in longer if target[-1] != EOS]
    return ended + active


def log_probability(model: Seq2SeqModel, source: torch.Tensor, target: list[int]) -> torch.Tensor:
    """log P(target | source), one token after another, of one source alone; the model must be in evaluation mode."""
    memory = model.encode(source.unsqueeze(0), torch.tensor([len(source)]))
    state, last, total = model.decoder.rnn.initial_state(memory), EOS, torch.zeros(())
    for token in target:
        embedded = model.decoder.embedding(torch.tensor([last]))
        state, features, weights = model.decoder.rnn.step(embedded, state, memory)
        scores = model.decoder.generator(features, weights, memory)[0]
        total = total + scores[token] - scores[TOKENS].logsumexp(0)
        last = token
    return total


def unpadded(tokens: torch.Tensor) -> list[int]:
    return tokens[tokens.ne(PAD)].tolist()
