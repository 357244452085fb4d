"""``precision``: bf16 matrix products in training, float32 weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary, indexed_dataset
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from omegaconf import OmegaConf

from s2s_plugin.models.seq2seq import Seq2SeqConfig, Seq2SeqModel
from s2s_plugin.tasks.seq2seq import Seq2SeqTask, Seq2SeqTaskConfig


@pytest.fixture
def corpus(tmp_path):
    """A binarised corpus of 12 pairs."""
    dictionary, generator = Dictionary(), np.random.default_rng(0)
    for index in range(20):
        dictionary.add_symbol(f"w{index}")
    for lang in ("xx", "yy"):
        dictionary.save(str(tmp_path / f"dict.{lang}.txt"))
        prefix = str(tmp_path / f"train.xx-yy.{lang}")
        builder = indexed_dataset.make_builder(prefix + ".bin", impl="mmap", vocab_size=len(dictionary))
        for _ in range(12):
            words = generator.integers(4, len(dictionary), generator.integers(3, 9))
            builder.add_item(torch.tensor([*words, dictionary.eos()]))
        builder.finalize(prefix + ".idx")
    return tmp_path


def train_two_steps(corpus, precision):
    torch.manual_seed(0)
    cfg = Seq2SeqTaskConfig(data=str(corpus), precision=precision)
    task = Seq2SeqTask.setup_task(cfg)
    task.load_dataset("train")
    sizes = {
        "encoder_embed_dim": 32,
        "encoder_hidden_size": 32,
        "decoder_embed_dim": 32,
        "decoder_hidden_size": 32,
        "dropout": 0.0,
        "max_source_positions": 100,
        "max_target_positions": 100,
    }
    model = Seq2SeqModel.build_model(Seq2SeqConfig(**sizes), task)
    criterion = task.build_criterion(
        OmegaConf.create({"_name": "label_smoothed_cross_entropy", "label_smoothing": 0.1, "sentence_avg": False})
    )
    adam = FairseqAdamConfig(adam_betas=[0.9, 0.98], tpu=False, lr=[0.01], fp16_adam_stats=False)
    optimizer = FairseqAdam(OmegaConf.create(vars(adam)), list(model.parameters()))
    dataset = task.dataset("train")
    sample = dataset.collater([dataset[i] for i in range(12)])
    losses = []
    for update in range(2):
        optimizer.zero_grad()
        loss, tokens, _ = task.train_step(sample, model, criterion, optimizer, update)
        losses.append(loss.item() / tokens)
        assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
        optimizer.step()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    return losses


def test_bf16_changes_the_loss_only_slightly(corpus):
    full, fast = train_two_steps(corpus, "fp32"), train_two_steps(corpus, "bf16")
    assert full != fast  # it is really on
    assert full == train_two_steps(corpus, "fp32")
    assert np.allclose(full, fast, rtol=0.01)
    assert full[1] < full[0]
    assert fast[1] < fast[0]
    assert train_two_steps(corpus, "auto") in (full, fast)
