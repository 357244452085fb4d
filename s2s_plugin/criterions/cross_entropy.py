"""Label-smoothed cross entropy, and what a model's other outputs may add to it."""

from dataclasses import dataclass, field

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.logging import metrics

from s2s_plugin.criterions.losses import ctc_loss, disagreement, misaligned, reread, twice, uneven
from s2s_plugin.criterions.sampling import scheduled_sampling
from s2s_plugin.errors import UserError
from s2s_plugin.models.generator import AdaptiveGenerator


@dataclass
class Seq2SeqCriterionConfig(LabelSmoothedCrossEntropyCriterionConfig):
    ctc_weight: float = field(
        default=0.0,
        metadata={"help": "share of the CTC loss over the memory, from 0 to below 1; needs a model with ctc"},
    )
    doubly_stochastic: float = field(
        default=0.0, metadata={"help": "weight of the loss that asks attention to visit every source step alike"}
    )
    coverage_weight: float = field(
        default=0.0, metadata={"help": "weight of the loss on attention to what has been attended to before"}
    )
    alignment_weight: float = field(
        default=0.0, metadata={"help": "weight of the loss that asks attention to follow given alignments"}
    )
    rdrop: float = field(
        default=0.0,
        metadata={"help": "weight of the loss on two passes with different dropout that disagree (R-Drop); try 5"},
    )
    scheduled_sampling: float = field(
        default=0.0, metadata={"help": "share of the previous symbols that the model's own replace, in the end"}
    )
    scheduled_sampling_updates: int = field(
        default=1000, metadata={"help": "updates over which that share rises from 0"}
    )


@register_criterion("s2s_cross_entropy", dataclass=Seq2SeqCriterionConfig)
class Seq2SeqCriterion(LabelSmoothedCrossEntropyCriterion):
    """(1 - c) * label-smoothed cross entropy + c * CTC + weighted losses of attention, summed over the batch.

    With ``rdrop`` the mean of that over two passes, and what keeps them apart.
    """

    def __init__(
        self,
        task,
        sentence_avg,
        label_smoothing,
        ignore_prefix_size=0,
        report_accuracy=False,
        ctc_weight=0.0,
        doubly_stochastic=0.0,
        coverage_weight=0.0,
        alignment_weight=0.0,
        rdrop=0.0,
        scheduled_sampling=0.0,
        scheduled_sampling_updates=1000,
    ):
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        if not 0 <= ctc_weight < 1:
            raise UserError(f"criterion.ctc_weight is {ctc_weight}: give a number from 0 to below 1")
        if not 0 <= scheduled_sampling <= 1:
            raise UserError(f"criterion.scheduled_sampling is {scheduled_sampling}: give a number from 0 to 1")
        self.blank, self.eos = task.target_dictionary.bos(), task.target_dictionary.eos()
        self.ctc_weight = ctc_weight
        self.doubly_stochastic, self.coverage_weight = doubly_stochastic, coverage_weight
        self.alignment_weight, self.rdrop = alignment_weight, rdrop
        self.sampled_share, self.sampling_updates = scheduled_sampling, scheduled_sampling_updates
        self.updates = 0

    def set_num_updates(self, updates: int) -> None:
        """How many updates there have been; the task says so."""
        self.updates = updates

    def forward(self, model, sample, reduce=True):
        inputs = sample["net_input"]
        if isinstance(getattr(model.decoder, "generator", None), AdaptiveGenerator):
            if self.rdrop:
                raise UserError("criterion.rdrop compares whole distributions: it does not go with adaptive_cutoffs")
            if self.report_accuracy:
                raise UserError("criterion.report_accuracy compares all symbols: it does not go with adaptive_cutoffs")
            inputs = {**inputs, "features_only": True}
        if model.training and self.sampled_share:
            share = self.sampled_share * min(1.0, self.updates / max(1, self.sampling_updates))
            previous = scheduled_sampling(model, inputs, sample["target"], self.padding_idx, share)
            inputs = {**inputs, "prev_output_tokens": previous}
        sample = {**sample, "net_input": inputs}
        if not (model.training and self.rdrop):
            return super().forward(model, sample, reduce)
        loss, size, log = super().forward(model, twice(sample), reduce)
        log["nsentences"] = len(sample["target"])
        if self.sentence_avg:
            size = log["sample_size"] = log["nsentences"]
        return loss, size, log

    def compute_loss(self, model, net_output, sample, reduce=True):
        if not (model.training and self.rdrop):
            return self._loss(model, net_output, sample, reduce)
        loss, nll_loss = self._loss(model, net_output, sample, reduce)
        scores = model.get_normalized_probs(net_output, log_probs=True)
        apart = disagreement(scores, sample["target"].ne(self.padding_idx))
        return (loss + self.rdrop * apart) / 2, nll_loss / 2

    def _loss(self, model, net_output, sample, reduce=True):
        target, besides = sample["target"], net_output[1]
        written = target.ne(self.padding_idx)
        if sample["net_input"].get("features_only"):
            if self.eps:
                raise UserError("model.adaptive_cutoffs scores the target alone: set criterion.label_smoothing=0")
            loss = nll_loss = -model.decoder.generator.target_log_probs(net_output[0][written], target[written]).sum()
        else:
            loss, nll_loss = super().compute_loss(model, net_output, sample, reduce)
        if self.ctc_weight:
            if "ctc" not in besides:
                raise UserError("criterion.ctc_weight needs a model with a CTC layer: set model.ctc=true")
            logits, padding_mask = besides["ctc"], besides["padding_mask"]
            ctc = ctc_loss(logits, padding_mask, target, self.padding_idx, self.eos, self.blank)
            metrics.log_scalar("ctc_loss", ctc.item() / sample["ntokens"], sample["ntokens"], round=3)
            loss = (1 - self.ctc_weight) * loss + self.ctc_weight * ctc
        if self.doubly_stochastic or self.coverage_weight or self.alignment_weight:
            attention = besides["attn"][0].float()  # B x T x S
        if self.doubly_stochastic:
            loss = loss + self.doubly_stochastic * uneven(attention, written)
        if self.coverage_weight:
            loss = loss + self.coverage_weight * reread(attention, written)
        if self.alignment_weight and (model.training or "alignments" in sample):
            if "alignments" not in sample:
                raise UserError(
                    "criterion.alignment_weight needs alignments: give fairseq-preprocess --align-suffix and files of "
                    "lines like 0-0 1-2"
                )
            if attention.size(2) != sample["net_input"]["src_tokens"].size(1):
                raise UserError(
                    "criterion.alignment_weight asks for single source symbols, and the encoder joins some: set "
                    "model.encoder_pyramid=0 and no factors"
                )
            loss = loss + self.alignment_weight * misaligned(attention, sample["alignments"])
        return loss, nll_loss
