"""Minimum-risk training: sentences that the model writes, made likelier the better they are."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.dataclass import ChoiceEnum
from fairseq.logging import metrics
from torch import Tensor
from torch.nn import functional as F

from s2s_plugin.criterions.cross_entropy import Seq2SeqCriterion, Seq2SeqCriterionConfig
from s2s_plugin.criterions.sampling import without_dropout, write
from s2s_plugin.errors import UserError
from s2s_plugin.scoring.rewards import REWARDS, build_reward

MAX_LEN_A, MAX_LEN_B = 1.5, 10  # longest sample, beside its reference: a * |Y| + b symbols


@dataclass
class MinimumRiskConfig(Seq2SeqCriterionConfig):
    reward: ChoiceEnum(list(REWARDS)) = field(  # type: ignore[valid-type]
        default="chrf", metadata={"help": "what makes a sentence good; of an error rate, what it leaves"}
    )
    samples: int = field(default=4, metadata={"help": "sentences drawn for each source"})
    baseline: ChoiceEnum(["mean", "greedy"]) = field(  # type: ignore[valid-type]
        default="mean",
        metadata={"help": "reward to surpass. mean: of the other samples; greedy: of the likeliest symbols"},
    )
    mle_weight: float = field(default=0.1, metadata={"help": "share of the cross entropy, from 0 to below 1"})


@register_criterion("s2s_minimum_risk", dataclass=MinimumRiskConfig)
class MinimumRiskCriterion(FairseqCriterion):
    """(1 - w) * risk + w * cross entropy, summed over the batch; the risk is that of sentences Y' drawn from P(Y|X).

    Its gradient is the policy gradient with a baseline (Williams 1992), of K samples of each source

        1/K sum_k (b_k - R(Y'_k)) grad log P(Y'_k | X),

    an unbiased estimate of grad E[1 - R(Y')], the expected risk of Shen et al. 2016, who renormalise P over the samples
    instead. Baseline b_k: mean reward of the other samples (Kool et al. 2019), or reward of the greedy sentence
    (Rennie et al. 2017). The model samples, and is scored, without dropout, as it will decode: a sample is then drawn
    from the very P that is differentiated. Cross entropy, with all options of ``s2s_cross_entropy``, keeps it.

    Meant for a model that is trained already, with a small learning rate. ``loss`` and ``nll_loss`` in the log are the
    cross entropy's; ``reward`` is the samples' mean, ``baseline`` that of the greedy sentences, where they are asked.
    """

    def __init__(self, task, cfg):
        super().__init__(task)
        if cfg.samples < 1 or (cfg.samples < 2 and cfg.baseline == "mean"):
            raise UserError(f"criterion.samples is {cfg.samples}: give at least 2, or 1 with criterion.baseline=greedy")
        if not 0 <= cfg.mle_weight < 1:
            raise UserError(f"criterion.mle_weight is {cfg.mle_weight}: give a number from 0 to below 1")
        if cfg.ignore_prefix_size:
            raise UserError("criterion.ignore_prefix_size does not go with s2s_minimum_risk, which draws whole targets")
        if not hasattr(task, "text"):
            raise UserError("criterion s2s_minimum_risk compares texts as the task s2s gives them: use --task s2s")
        self.cross_entropy = Seq2SeqCriterion.build_criterion(cfg, task)
        self.reward = build_reward(str(cfg.reward), task.cfg.eval_tokenizer)
        self.samples, self.greedy, self.mle_weight = cfg.samples, cfg.baseline == "greedy", cfg.mle_weight
        self.eos = task.target_dictionary.eos()

    def set_num_updates(self, updates: int) -> None:
        """How many updates there have been; the task says so."""
        self.cross_entropy.set_num_updates(updates)

    def forward(self, model, sample, reduce=True):
        with nullcontext() if self.mle_weight else torch.no_grad():
            loss, sample_size, logging_output = self.cross_entropy(model, sample, reduce)
        if not model.training:
            return loss, sample_size, logging_output
        if not hasattr(model.decoder, "rnn"):
            raise UserError("criterion s2s_minimum_risk draws from models of the architecture s2s alone")
        risk, rewards, baselines = self.risk(model, sample["net_input"], sample["target"])
        logging_output["reward"] = rewards.mean(1).sum()
        if self.greedy:  # the other baseline has the samples' own mean
            logging_output["baseline"] = baselines.mean(1).sum()
        return (1 - self.mle_weight) * risk + self.mle_weight * loss, sample_size, logging_output

    def risk(self, model, inputs: dict, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What has the risk's gradient; rewards and baselines, B x K each.

        Args:
            inputs: ``src_tokens`` and ``src_lengths`` of B items.
            target: B x T ids.
        """
        limit = MAX_LEN_A * target.ne(self.padding_idx).sum(1) + MAX_LEN_B
        limit = limit.long().clamp(max=model.max_decoder_positions())
        with without_dropout(model):
            drawn = write(model, inputs, limit, self.samples, self.draw, self.eos, self.padding_idx)  # N x T
            rewards = self.rewards(drawn, target)  # B x K
            if self.greedy:
                best = write(model, inputs, limit, 1, self.likeliest, self.eos, self.padding_idx)  # B x T
                baselines = self.rewards(best, target).expand_as(rewards)
            else:
                baselines = (rewards.sum(1, keepdim=True) - rewards) / (self.samples - 1)
            surprise = self.surprise(model, inputs, drawn)  # N
        return ((rewards - baselines).flatten() * surprise).sum() / self.samples, rewards, baselines

    def surprise(self, model, inputs: dict, drawn: Tensor) -> Tensor:
        """-log P(Y' | X) of N x T samples, those of an item together; N."""
        previous = torch.cat((torch.full_like(drawn[:, :1], self.eos), drawn[:, :-1]), 1)
        logits, _ = model(**{**inputs, "prev_output_tokens": previous})
        scores = self.scores(logits).transpose(1, 2)  # N x V x T
        return F.cross_entropy(scores, drawn, ignore_index=self.padding_idx, reduction="none").sum(1)

    def rewards(self, drawn: Tensor, target: Tensor) -> Tensor:
        """Rewards B x K of B * K sentences, beside B references."""
        references = [self.task.text(reference) for reference in target]
        texts = [self.task.text(sentence) for sentence in drawn]
        copies = len(texts) // len(references)
        pairs = [(text, references[row // copies]) for row, text in enumerate(texts)]
        known = {pair: self.reward(*pair) for pair in set(pairs)}  # sure of itself, a model draws the same again
        return torch.tensor([known[pair] for pair in pairs], device=drawn.device).view(-1, copies)

    def draw(self, logits: Tensor) -> Tensor:
        """A symbol for each of N rows of logits, as likely as the model says."""
        return torch.multinomial(self.scores(logits).softmax(1), 1).squeeze(1)

    def likeliest(self, logits: Tensor) -> Tensor:
        return self.scores(logits).argmax(1)

    def scores(self, logits: Tensor) -> Tensor:
        """Logits ... x V of what may be written: anything but padding."""
        padding = torch.tensor([self.padding_idx], device=logits.device)
        return logits.float().index_fill(-1, padding, float("-inf"))

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """Sums over workers to means of a symbol (loss) and of a sentence (rewards)."""
        LabelSmoothedCrossEntropyCriterion.reduce_metrics(logging_outputs)
        sentences = sum(log.get("nsentences", 0) for log in logging_outputs)
        for name in ("reward", "baseline"):
            if any(name in log for log in logging_outputs):
                total = sum(log.get(name, 0) for log in logging_outputs)
                metrics.log_scalar(name, total / sentences, sentences, round=4)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
