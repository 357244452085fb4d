"""Label-smoothed cross entropy, and what a model's other outputs may add to it."""

from dataclasses import dataclass, field

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.logging import metrics
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.errors import UserError


@dataclass
class Seq2SeqCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    ctc_weight: float = field(
        default=0.0,
        metadata={"help": "share of the CTC loss over the memory, from 0 to below 1; needs a model with ctc"},
    )
    doubly_stochastic: float = field(
        default=0.0, metadata={"help": "weight of the loss that asks attention to visit every source step alike"}
    )


@register_criterion("s2s_cross_entropy", dataclass=Seq2SeqCriterionConfig)
class Seq2SeqCriterion(LabelSmoothedCrossEntropyCriterion):
    """(1 - c) * label-smoothed cross entropy + c * CTC + d * doubly stochastic attention, summed over the batch."""

    def __init__(
        self,
        task,
        sentence_avg,
        label_smoothing,
        ignore_prefix_size=0,
        report_accuracy=False,
        ctc_weight=0.0,
        doubly_stochastic=0.0,
    ):
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        if not 0 <= ctc_weight < 1:
            raise UserError(f"criterion.ctc_weight is {ctc_weight}: give a number from 0 to below 1")
        self.blank, self.eos = task.target_dictionary.bos(), task.target_dictionary.eos()
        self.ctc_weight, self.doubly_stochastic = ctc_weight, doubly_stochastic

    def compute_loss(self, model, net_output, sample, reduce=True):
        loss, nll_loss = super().compute_loss(model, net_output, sample, reduce)
        target, besides = sample["target"], net_output[1]
        if self.ctc_weight:
            if "ctc" not in besides:
                raise UserError("criterion.ctc_weight needs a model with a CTC layer: set model.ctc=true")
            logits, padding_mask = besides["ctc"], besides["padding_mask"]
            ctc = ctc_loss(logits, padding_mask, target, self.padding_idx, self.eos, self.blank)
            metrics.log_scalar("ctc_loss", ctc.item() / sample["ntokens"], sample["ntokens"], round=3)
            loss = (1 - self.ctc_weight) * loss + self.ctc_weight * ctc
        if self.doubly_stochastic:
            attention = besides["attn"][0].float()
            loss = loss + self.doubly_stochastic * uneven(attention, target.ne(self.padding_idx))
        return loss, nll_loss


def ctc_loss(logits: Tensor, padding_mask: Tensor, target: Tensor, pad: int, eos: int, blank: int) -> Tensor:
    """-log P(target | memory) by Connectionist Temporal Classification (Graves et al. 2006), summed over the batch.

    Args:
        logits: B x S x V.
        padding_mask: B x S, True at padding.
        target: B x T ids; ``pad`` and ``eos`` are not spelt.
        blank: id of the symbol that stands for none.
    """
    spelt = target.ne(pad) & target.ne(eos)
    log_probabilities = logits.float().log_softmax(-1).transpose(0, 1)  # S x B x V
    return F.ctc_loss(
        log_probabilities,
        target[spelt],
        padding_mask.logical_not().sum(1),
        spelt.sum(1),
        blank,
        reduction="sum",
        zero_infinity=True,  # a target longer than the memory cannot be spelt
    )


def uneven(attention: Tensor, written: Tensor) -> Tensor:
    """sum_s (1 - sum_t a_ts)^2, summed over the batch (Xu et al. 2015, section 4.2.1).

    Args:
        attention: B x T x S weights.
        written: B x T, False at padding.
    """
    visits = (attention * written.unsqueeze(2)).sum(1)  # B x S
    return torch.square(1 - visits).sum()
