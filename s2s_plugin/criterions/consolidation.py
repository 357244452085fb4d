"""Elastic weight consolidation: fine-tune without forgetting what the weights were needed for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from s2s_plugin.criterions.sampling import without_dropout
from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import token_log_probs
from s2s_plugin.models.seq2seq import Seq2SeqModel
from s2s_plugin.utils.checkpoint import load_plain, save_checkpoint


class Consolidation:
    """1/2 sum_i F_i (w_i - w*_i)^2 (Kirkpatrick et al. 2017, equation 3; for translation Thompson et al. 2019).

    The w* are the weights before fine-tuning, and F_i is the diagonal of the Fisher information of what they were
    trained on: how much its probability suffers if w_i moves.
    """

    def __init__(self, weights: dict[str, Tensor], fisher: dict[str, Tensor]):
        self.weights, self.fisher = weights, fisher

    def __call__(self, model: nn.Module) -> Tensor:
        """Return the penalty for the weights of a model."""
        own = {name.removeprefix("module."): each for name, each in model.named_parameters()}  # within a wrapper
        if own.keys() != self.fisher.keys():
            raise UserError("criterion.ewc_file is of another model; set finetune_from to the run that it is of")
        terms = []
        for name, weight in own.items():
            before, fisher = (side[name].to(weight.device) for side in (self.weights, self.fisher))
            terms.append((fisher * (weight.float() - before).square()).sum())
        return torch.stack(terms).sum() / 2

    def save(self, path: Path) -> None:
        save_checkpoint({"weights": self.weights, "fisher": self.fisher}, path)

    @classmethod
    def load(cls, path: Path) -> Consolidation:
        """Read a file.

        Raises:
            UserError: it is missing, damaged or another file.
        """
        state = load_plain(path)
        if state.keys() != {"weights", "fisher"} or state["weights"].keys() != state["fisher"].keys():
            raise UserError(f"{path}: not a file of criterion.ewc; leave criterion.ewc_file out, and it is made")
        return cls(state["weights"], state["fisher"])


def consolidate(model: Seq2SeqModel, batches: Iterable[dict]) -> Consolidation:
    """Return the weights of a model with F_i = E[(d log P(Y|X) / d w_i)^2] over pairs of what it was trained on.

    ``batches`` are fairseq's, of a single pair each: the square is of the gradient of each pair by itself. Y is the
    reference, so that this is the empirical Fisher information, in (nats per sentence)^2.
    """
    parameters = dict(model.named_parameters())
    fisher = {name: torch.zeros_like(each, dtype=torch.float32) for name, each in parameters.items()}
    count = 0
    model.train()
    with without_dropout(model):
        for batch in batches:
            model.zero_grad()
            logits, _ = model(**batch["net_input"])
            token_log_probs(logits, batch["target"]).sum().backward()
            for name, each in parameters.items():
                if each.grad is not None:
                    fisher[name] += each.grad.float().square()
            count += 1
    weights = {name: each.detach().float().cpu().clone() for name, each in parameters.items()}
    return Consolidation(weights, {name: (each / count).cpu() for name, each in fisher.items()})
