"""Label-smoothed cross entropy with losses of the model's other outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.logging import metrics
from torch import Tensor

from s2s_plugin.criterions import losses
from s2s_plugin.criterions.consolidation import Consolidation
from s2s_plugin.criterions.sampling import scheduled_sampling
from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import AdaptiveGenerator
from s2s_plugin.utils.options import option


@dataclass
class Seq2SeqCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    """Options of ``s2s_cross_entropy``."""

    ctc_weight: float = option(0.0, "weight of the CTC loss, in [0, 1); requires model.ctc=true")
    doubly_stochastic: float = option(0.0, "weight of the doubly stochastic attention loss (evenness)")
    coverage_weight: float = option(0.0, "weight of the coverage loss (repeated attention to a source step)")
    alignment_weight: float = option(0.0, "weight of the guided alignment loss; requires alignments of the data")
    rdrop: float = option(0.0, "weight of the divergence between two passes with dropout (R-Drop); try 5")
    scheduled_sampling: float = option(0.0, "final probability of replacing a previous token by a sample of the model")
    scheduled_sampling_updates: int = option(1000, "updates over which that probability rises from 0")
    ewc: float = option(
        0.0, "weight of elastic weight consolidation, which keeps what the run of finetune_from can do; try 100"
    )
    ewc_file: Optional[str] = option(None, "file of its weights and Fisher information, made from finetune_from")


# Losses of the attention weights by the option that is their weight: loss(attention, target_mask, sample).
ATTENTION_LOSSES: dict[str, Callable[[Tensor, Tensor, dict], Tensor]] = {
    "doubly_stochastic": lambda attention, mask, _: losses.doubly_stochastic_loss(attention, mask),
    "coverage_weight": lambda attention, mask, _: losses.coverage_loss(attention, mask),
    "alignment_weight": lambda attention, _, sample: losses.guided_alignment_loss(attention, sample["alignments"]),
}


@register_criterion("s2s_cross_entropy", dataclass=Seq2SeqCriterionConfig)
class Seq2SeqCriterion(LabelSmoothedCrossEntropyCriterion):
    """(1 - c) * label-smoothed cross entropy + c * CTC + weighted attention losses, summed over the batch.

    With ``rdrop``, the mean of that over two passes, plus their weighted divergence. With ``ewc``, plus the weighted
    penalty of :class:`Consolidation`.
    """

    def __init__(self, task, cfg: Seq2SeqCriterionConfig):
        super().__init__(task, cfg.sentence_avg, cfg.label_smoothing, cfg.ignore_prefix_size, cfg.report_accuracy)
        if not 0 <= cfg.ctc_weight < 1:
            raise UserError(f"criterion.ctc_weight must be in [0, 1), got {cfg.ctc_weight}")
        if not 0 <= cfg.scheduled_sampling <= 1:
            raise UserError(f"criterion.scheduled_sampling must be in [0, 1], got {cfg.scheduled_sampling}")
        self.blank, self.eos = task.target_dictionary.bos(), task.target_dictionary.eos()
        self.ctc_weight, self.rdrop = cfg.ctc_weight, cfg.rdrop
        self.attention_weights = {name: weight for name in ATTENTION_LOSSES if (weight := getattr(cfg, name))}
        self.sampling_probability, self.sampling_updates = cfg.scheduled_sampling, cfg.scheduled_sampling_updates
        if cfg.ewc < 0:
            raise UserError(f"criterion.ewc must not be negative, got {cfg.ewc}")
        if cfg.ewc and not Path(cfg.ewc_file or "").is_file():
            raise UserError("criterion.ewc requires finetune_from=RUN, or criterion.ewc_file")
        self.ewc = cfg.ewc
        self.consolidation = Consolidation.load(Path(str(cfg.ewc_file))) if cfg.ewc else None
        self.updates = 0

    def set_num_updates(self, updates: int) -> None:
        self.updates = updates

    def forward(self, model, sample, reduce=True):
        """Return the loss, the sample size (its denominator) and fairseq's logging output."""
        loss, size, log = self._forward(model, sample, reduce)
        if model.training and self.consolidation is not None:
            penalty = self.consolidation(model)
            metrics.log_scalar("ewc", penalty.item(), size, round=5)
            loss = loss + self.ewc * size * penalty  # once for each token, or sentence, as the loss is summed
        return loss, size, log

    def _forward(self, model, sample, reduce) -> tuple:
        inputs = sample["net_input"]
        if isinstance(getattr(model.decoder, "generator", None), AdaptiveGenerator):
            self._check_adaptive()
            inputs = {**inputs, "features_only": True}
        if model.training and self.sampling_probability:
            probability = self.sampling_probability * min(1.0, self.updates / max(1, self.sampling_updates))
            previous = scheduled_sampling(model, inputs, sample["target"], self.padding_idx, probability)
            inputs = {**inputs, "prev_output_tokens": previous}
        sample = {**sample, "net_input": inputs}
        if not (model.training and self.rdrop):
            return super().forward(model, sample, reduce)
        loss, size, log = super().forward(model, losses.duplicate_batch(sample), reduce)
        log["nsentences"] = len(sample["target"])
        if self.sentence_avg:
            size = log["sample_size"] = log["nsentences"]
        return loss, size, log

    def compute_loss(self, model, net_output, sample, reduce=True):
        """Return the loss and the negative log-likelihood; with ``rdrop``, of a duplicated batch."""
        loss, nll_loss = self._weighted_losses(model, net_output, sample, reduce)
        if not (model.training and self.rdrop):
            return loss, nll_loss
        log_probs = model.get_normalized_probs(net_output, log_probs=True)
        divergence = losses.symmetric_kl(log_probs, sample["target"].ne(self.padding_idx))
        return (loss + self.rdrop * divergence) / 2, nll_loss / 2

    def _weighted_losses(self, model, net_output, sample, reduce) -> tuple[Tensor, Tensor]:
        (output, extra), target = net_output, sample["target"]
        target_mask = target.ne(self.padding_idx)
        if sample["net_input"].get("features_only"):
            log_probs = model.decoder.generator.target_log_probs(output[target_mask], target[target_mask])
            loss = nll_loss = -log_probs.sum()
        else:
            loss, nll_loss = super().compute_loss(model, net_output, sample, reduce)
        if self.ctc_weight:
            loss = (1 - self.ctc_weight) * loss + self.ctc_weight * self._ctc_loss(extra, sample)
        for name, weight in self.attention_weights.items():
            if name == "alignment_weight" and not self._has_alignments(model, extra, sample):
                continue
            attention = extra["attn"][0].float()  # B x T x S
            loss = loss + weight * ATTENTION_LOSSES[name](attention, target_mask, sample)
        return loss, nll_loss

    def _ctc_loss(self, extra: dict, sample: dict) -> Tensor:
        if "ctc" not in extra:
            raise UserError("criterion.ctc_weight requires model.ctc=true")
        special = self.padding_idx, self.eos, self.blank
        ctc = losses.ctc_loss(extra["ctc"], extra["padding_mask"], sample["target"], *special)
        metrics.log_scalar("ctc_loss", ctc.item() / sample["ntokens"], sample["ntokens"], round=3)
        return ctc

    def _check_adaptive(self) -> None:
        """Raise if an option needs the whole distribution, which adaptive softmax does not compute in training."""
        options = {"rdrop": self.rdrop, "report_accuracy": self.report_accuracy, "label_smoothing": self.eps}
        for name, value in options.items():
            if value:
                raise UserError(f"model.adaptive_cutoffs requires criterion.{name}=0, got {value}")

    @staticmethod
    def _has_alignments(model, extra: dict, sample: dict) -> bool:
        """Return whether the batch has alignments, which only training requires."""
        if "alignments" not in sample:
            if not model.training:
                return False
            raise UserError(
                "criterion.alignment_weight requires alignments; prepare with fairseq-preprocess --align-suffix and "
                "files of lines such as 0-0 1-2"
            )
        if extra["attn"][0].size(2) != sample["net_input"]["src_tokens"].size(1):
            raise UserError(
                "criterion.alignment_weight needs one encoder state per word (model.encoder_pyramid=0, no factors)"
            )
        return True
